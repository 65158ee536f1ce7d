"""A finished run as other commands read it: its record and one row per image."""

from dataclasses import dataclass, fields
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import pandas as pd
from PIL import Image

from privacy_exp.runs.answer import answer
from privacy_exp.runs.record import read_record
from privacy_exp.types import Metric, UserError

HEADLINES = ("fool_rate", "control_fool_rate", "fool_rate_net", "strongest_observer")
"""Figures that stand for a run where there is room for a few."""


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

    def __getitem__(self, name: str) -> Metric:
        """A figure by its name, such as "fool_rate".

        Raises:
            UserError: the run has no such figure.
        """
        known = self.record["metrics"]
        if name not in known:
            near = get_close_matches(name, known, 3) or sorted(known)[:5]
            raise UserError(f"the run has no figure {name!r}; it has {', '.join(near)}, …")
        return Metric(**{part.name: known[name].get(part.name) for part in fields(Metric)})

    def __str__(self) -> str:
        names = [name for name in ("accuracy", *HEADLINES) if name in self.record["metrics"]]
        return "\n".join([self.title, *(f"{name}: {self[name]}" for name in names)])

    def summary(self) -> str:
        """What the run found, in a few sentences."""
        return answer(self.record, int(self.table["label"].nunique()))

    def grid(self) -> Image.Image:
        """The first faces: original, mask and result beside each other."""
        with Image.open(self.path / "grid.png") as image:
            return image.convert("RGB")

    @property
    def title(self) -> str:
        """What was done to whom, in a line."""
        choices, ratio = self.record["choices"], self.record["mask_ratio"]
        names = [str(choices[group]) for group in ("data", "masking", "inpainting") if group in choices]
        return " · ".join([*names, "its own area" if ratio is None else f"ratio {ratio:g}"])


def load_run(folder: str | Path) -> Run:
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
