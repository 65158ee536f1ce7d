"""A submission of a stronger attacker: its similarities, from which its figures are computed here, and its code."""

import re
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas as pd

from privacy_exp.evaluation.statistics.intervals import clustered_rate
from privacy_exp.report.board import ENTRIES, Entry, read_entry
from privacy_exp.report.board_submission import Submission, manifest_digest
from privacy_exp.types import Metric, UserError

TABLE = "similarity.parquet"


def check_attacker(submission: Submission, board: Path) -> Entry | None:
    """Checks a similarity table against its section; None where it is refused.

    The table has `image_id` and a column a person: how alike the attacker finds the anonymised picture and this
    person, on any scale. `code` in the manifest names the files that computed it.

    Args:
        submission: its manifest holds.
        board: the board's folder, which holds the entry that was attacked.
    """
    told, section = submission.told, submission.section
    code = [str(name) for name in told.get("code", [])] if isinstance(told.get("code"), list) else []
    lacking = [name for name in code if name not in submission.files]
    if not code or lacking:
        submission.faults.append(f"`code` must name listed files, but {lacking[0] if lacking else 'none'} is there.")
    against = Path(str(told.get("against"))).name
    path = board / section.name / ENTRIES / f"{against}.json"
    if not path.is_file() or read_entry(path).kind != "pictures":
        submission.faults.append(f"`against` must be an entry of pictures in {section.name}, but got {against!r}.")
    try:
        rank_1 = rank_1_of(pd.read_parquet(submission.folder / TABLE), section.images)
    except (UserError, OSError, ValueError) as error:
        submission.faults.append(f"{TABLE}: {error}")
        return None
    said = told.get("claims", {}).get("rank_1") if isinstance(told.get("claims"), dict) else None
    if rank_1.value is None or not isinstance(said, int | float) or abs(said - rank_1.value) > 1e-6:
        submission.faults.append(f"rank 1 is {said} in the manifest, but {rank_1.value} follows from {TABLE}.")
    submission.recomputed.append(f"from {TABLE}: rank 1 with its interval")
    tool = submission.tool
    stem = "-".join(re.sub(r"\W+", "_", part).strip("_") for part in (tool["name"], "on", against))
    return Entry(
        name=stem[:80],
        kind="attacker",
        tool=tool,
        against=against,
        observers={f"attacker/{tool['name']}": ("rank_1", rank_1)},
        metrics={},
        facts={"n": rank_1.n, "people": len({who for who, _ in section.images.values()}), "warnings": []},
        verify={
            "command": told.get("command"),
            "parts": [{"part": name, "digest": submission.files.get(name)} for name in code],
            "files": len(submission.files),
            "manifest": manifest_digest(submission.files),
            "versions": {},
            "recomputed": submission.recomputed,
        },
    )


def rank_1_of(table: pd.DataFrame, images: Mapping[str, tuple[str, str]]) -> Metric:
    """Share of the pictures on which the true person is the most alike; ties count as their expectation.

    Args:
        table: `image_id` and a column a person.
        images: of the section: image id to (person, digest).

    Raises:
        UserError: images or people are missing, or a similarity is no number.
    """
    if "image_id" not in table or table["image_id"].duplicated().any():
        raise UserError("it must have one row per image, with the column `image_id`.")
    table = table.set_index(table["image_id"].astype(str)).drop(columns="image_id")
    people = sorted({who for who, _ in images.values()})
    missing = [*sorted(set(images) - set(table.index)), *(f"person {p}" for p in people if p not in table.columns)]
    if missing:
        raise UserError(f"it lacks {len(missing)} of the section's images and people, such as {missing[0]}.")
    ids = sorted(images)
    values = table.loc[ids, people].to_numpy(np.float64)
    if not np.isfinite(values).all():
        raise UserError("a similarity is NaN or infinite.")
    identity = np.array([images[i][0] for i in ids])
    true = values[np.arange(len(ids)), np.searchsorted(people, identity)]
    before, tied = (values > true[:, None]).sum(1), (values == true[:, None]).sum(1)
    return clustered_rate(np.where(before == 0, 1 / tied, 0.0), identity, empty="no image")
