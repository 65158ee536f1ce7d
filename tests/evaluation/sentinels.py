"""Run folders made by hand, of which every figure is known; see sentinel/README.md."""

import json
from fractions import Fraction
from pathlib import Path

import pandas as pd

from privacy_exp.runs.record import SCHEMA

HERE = Path(__file__).parent / "sentinel"
EXPECTED = json.loads((HERE / "expected.json").read_text())


def known(name: str) -> dict[str, float]:
    """Every figure of run a or b."""
    return {metric: float(Fraction(*parts)) for metric, parts in EXPECTED[name].items()}


def sentinel_table(name: str) -> pd.DataFrame:
    """A row an image of run a or b."""
    return pd.read_csv(HERE / f"{name}.csv", dtype={"identity": str})


def sentinel_run(folder: Path, name: str, table: pd.DataFrame | None = None, **changes: object) -> Path:
    """Writes run a or b as a finished run folder.

    Args:
        folder: is made.
        name: "a" or "b".
        table: replaces its rows.
        changes: fields of the record that differ.
    """
    folder.mkdir(parents=True)
    table = sentinel_table(name) if table is None else table
    table.to_parquet(folder / "images.parquet", index=False)
    counts = EXPECTED[name]
    metrics = {
        metric: {"value": value, "low": None, "high": None, "n": counts[metric][1]}
        for metric, value in known(name).items()
    }
    metrics["strongest_observer"] |= {"n": 48, "observers": EXPECTED["observers"][name]}
    masking = {"a": "grad_cam", "b": "random_patches"}[name]
    record = {
        "schema": SCHEMA,
        "key": f"sentinel-{name}",
        "choices": {"data": "synthetic", "masking": masking, "inpainting": "tiny"},
        "config": {"recognition": {}, "masking": {"_target_": masking}, "inpainting": {}, "image_format": "png"},
        "mask_ratio": 0.25,
        "seed": 0,
        "n": len(table),
        "metrics": metrics,
        "timing": {},
        "versions": {},
        "device": "cpu",
        "details": {
            "data_digest": "sentinel",
            "observers": {who: {"chance": 1 / 24, "excluded": None} for who in ("target", "judge/a")},
        },
        "warnings": [],
    }
    (folder / "record.json").write_text(json.dumps(record | changes))
    return folder
