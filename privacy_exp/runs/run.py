"""A finished run as other commands read it: its record and one row per image."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from privacy_exp.runs.record import read_record


@dataclass(frozen=True)
class Run:
    """A finished run.

    Attributes:
        path: its folder.
        record: `record.json`.
        table: `images.parquet`.
    """

    path: Path
    record: dict[str, Any]
    table: pd.DataFrame

    @property
    def title(self) -> str:
        """What was done to whom, in a line."""
        choices, ratio = self.record["choices"], self.record["mask_ratio"]
        names = [str(choices[group]) for group in ("data", "masking", "inpainting") if group in choices]
        return " · ".join([*names, "its own area" if ratio is None else f"ratio {ratio:g}"])


def read_run(folder: str | Path) -> Run:
    """Reads a finished run.

    Raises:
        FileNotFoundError: the folder is no finished run.
        UserError: its record is damaged or of another schema version.
    """
    path = Path(folder)
    record = read_record(path)
    images = path / "images.parquet"
    if not images.is_file():
        raise FileNotFoundError(f"{path} holds no images.parquet; run the cell again.")
    return Run(path, record, pd.read_parquet(images))
