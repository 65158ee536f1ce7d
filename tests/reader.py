"""An independent reader of finished cells: the standard library alone, written from the documented layout."""

import json
from pathlib import Path

FIELDS = {
    "schema",
    "key",
    "choices",
    "config",
    "mask_ratio",
    "seed",
    "n",
    "metrics",
    "timing",
    "versions",
    "device",
    "warnings",
}


def read_cells(sweep: Path) -> list[dict]:
    cells = []
    for path in sorted(sweep.glob("**/record.json")):
        record = json.loads(path.read_text(), parse_constant=lambda name: 1 / 0)  # NaN and infinity are no JSON
        assert set(record) >= FIELDS, FIELDS - set(record)
        for name, metric in record["metrics"].items():
            assert {"value", "low", "high", "n"} <= set(metric), name
            assert metric["value"] is not None or metric["reason"], f"{name} is null without a reason"
        for kind, word in (("original", "img"), ("masks", "masks"), ("results", "generated")):
            names = [p.name for p in (path.parent / kind).iterdir()]
            assert len(names) == record["n"], f"{kind}: {len(names)} files for {record['n']} images"
            assert all(f"-{word}-label-" in name for name in names)
        cells.append(record)
    return cells
