"""Prints one row a cell of a finished sweep, and puts the cells' pictures into one grid.

usage: python scripts/show_sweep.py SWEEP_DIR
"""

import json
import sys
from pathlib import Path

from PIL import Image
from rich.console import Console
from rich.table import Table

COLUMNS = ("accuracy", "accuracy_anonymized", "fool_rate", "fool_rate_net", "worst_observer")


def main(sweep: Path) -> None:
    """Reads every `record.json` below `sweep`."""
    paths = sorted(sweep.glob("*/record.json"), key=lambda p: int(p.parent.name))
    if not paths:
        sys.exit(f"{sweep} holds no record.json in its sub-folders: no cell has finished.")
    records = [json.loads(path.read_text()) for path in paths]
    table = Table(title=f"{len(records)} cells · 95 % intervals in brackets")
    for name in ("masking", "ratio", "guidance", "n", *COLUMNS):
        table.add_column(name, justify="left" if name == "masking" else "right")
    for r in records:
        guidance = r["config"]["inpainting"].get("guidance_scale", "–")
        row = [r["choices"]["masking"], str(r["mask_ratio"]), str(guidance), str(r["n"])]
        table.add_row(*row, *(figure(r["metrics"][name]) for name in COLUMNS))
    Console(width=140).print(table)
    picture = sweep / "grid.png"
    stack([path.parent / "grid.png" for path in paths], picture)
    print(f"records  {sweep}/*/record.json\npictures {picture} (face | mask | result; a band a cell, in this order)")


def figure(metric: dict) -> str:
    """Value and interval, or the reason why there is none."""
    if metric["value"] is None:
        return f"– ({metric['reason']})"
    flag = " !" if metric.get("reason") else ""
    return f"{metric['value']:.2f} ({metric['low']:.2f}–{metric['high']:.2f}){flag}"


def stack(paths: list[Path], out: Path) -> None:
    """The first row of each picture, one below the other."""
    bands = []
    for path in paths:
        with Image.open(path) as image:
            bands.append(image.convert("RGB").crop((0, 0, image.width, image.width // 12 + 4)))
    canvas = Image.new("RGB", (bands[0].width, sum(b.height for b in bands)), "white")
    top = 0
    for band in bands:
        canvas.paste(band, (0, top))
        top += band.height
    canvas.save(out)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
