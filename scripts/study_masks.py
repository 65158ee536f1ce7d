"""Which mask protects, at equal area: methods × areas, pooled over folds, each held against random patches.

usage: python scripts/study_masks.py out=DIR [experiment=drawn_faces] [key=value ...]
       python scripts/study_masks.py out=DIR experiment=real_faces inpainting=diffusers inpainting.checkpoint=DIR
       python scripts/study_masks.py out=DIR table=true        prints the tables of a finished sweep again
       … table=true against=grad_cam                           holds the methods against another one than random patches

Runs `privacy_exp.train experiment=…` with the given keys. Folds (`data.split_fold`) of one method and area are pooled,
so that every face is a probe once. Identities are the sample, sign-flip permutations decide, Holm over all comparisons.
"""

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd

from privacy_exp.evaluation.measure import Outcome, strongest_observer
from privacy_exp.evaluation.privacy import outcome
from privacy_exp.evaluation.statistics.intervals import clustered_rate, holm
from privacy_exp.evaluation.statistics.paired import (
    Difference,
    fool_rate_difference,
    fooled,
    mcnemar_of,
    paired_difference,
)
from privacy_exp.runs.plan import read_plan
from privacy_exp.runs.record import read_record
from privacy_exp.types import Metric

REFERENCE = "random_patches"
FLOOR = 0.8
"""Clean accuracy with which c counts, as conf/train.yaml has it."""
TWO_PHOTOS = (
    "everybody needs two test photos a fold. Set data.min_images_per_identity to twice the number of folds, or ask for "
    "fewer folds (data.split_fold)."
)


def folds(out: Path) -> dict[tuple[str, float], list[Path]]:
    """Method and area to the run folders of its folds.

    Raises:
        ValueError: a cell is missing, or two folds tested the same photo.
    """
    found: dict[tuple[str, float], list[Path]] = {}
    for path in sorted(out.rglob("record.json")):
        record = read_record(path.parent)
        found.setdefault((record["choices"]["masking"], record["mask_ratio"]), []).append(path.parent)
    if not found:
        raise ValueError(f"{out} holds no finished run; leave out table=true to run the study.")
    done, plan = sum(map(len, found.values())), read_plan(out)
    if plan is not None and done < plan["count"]:
        raise ValueError(
            f"{done} of {plan['count']} cells are finished, and tables over a part of a study would mislead: run it "
            f"again to fill the gaps (python -m privacy_exp.status sweep={out} names them)."
        )
    return found


def pooled(paths: list[Path]) -> pd.DataFrame:
    """The images of all folds, each once.

    Raises:
        ValueError: a photo twice, or a fold whose judge was asked about nobody.
    """
    tables = [pd.read_parquet(path / "images.parquet") for path in paths]
    table = pd.concat(tables, ignore_index=True)
    for name in table.columns[table.columns.str.startswith("recognised/")]:
        if lacking := [path for path, own in zip(paths, tables, strict=True) if name not in own]:
            raise ValueError(f"{name.removeprefix('recognised/')} was asked about nobody in {lacking[0]}: {TWO_PHOTOS}")
    if table["image_id"].duplicated().any():
        raise ValueError(f"{paths[0]} and its other folds tested the same photo; give data.split_fold a fold each.")
    return table.sort_values("image_id", ignore_index=True)


def seen_by(table: pd.DataFrame, judge: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Which photos a judge was asked about (people with a second test photo), and its hits on originals and results.

    Raises:
        ValueError: it was asked about nobody in a fold.
    """
    if f"recognised/{judge}" not in table:
        raise ValueError(f"{judge} was asked about nobody: {TWO_PHOTOS}")
    clean, seen = (table[f"{kind}/{judge}"].to_numpy(np.float64) for kind in ("recognised_clean", "recognised"))
    return np.isfinite(seen), clean, seen


def rank_1_difference(a: pd.DataFrame, b: pd.DataFrame, judge: str) -> tuple[Difference, float | None]:
    """The paired difference of a judge's rank 1, and exact McNemar's p; None where ties share a hit."""
    (asked_a, _, hits_a), (asked_b, _, hits_b) = seen_by(a, judge), seen_by(b, judge)
    of_a, of_b = np.stack([np.nan_to_num(hits_a), asked_a]), np.stack([np.nan_to_num(hits_b), asked_b])
    return paired_difference(of_a, of_b, a["identity"].to_numpy(str)), mcnemar_of(of_a, of_b)


def strongest(table: pd.DataFrame, judge: str, excluded: str | None) -> tuple[Metric, list[str]]:
    """`strongest_observer` over the pooled folds: c and the judge, where they passed their gates; attackers as c."""
    identity = table["identity"].to_numpy(str)
    people = len(np.unique(identity))
    asked, clean, seen = seen_by(table, judge)
    known = identity[asked]
    chance = 1 / len(np.unique(known))
    of_judge = Outcome(judge, known, clean[asked], seen[asked], chance, excluded, np.flatnonzero(asked))
    target = outcome(table, people, FLOOR)
    outcomes = [target, of_judge]
    for name in (column.removeprefix("recognised/") for column in table if column.startswith("recognised/attacker/")):
        hits = [table[f"{kind}/{name}"].to_numpy(np.float64) for kind in ("recognised_clean", "recognised")]
        if np.isfinite(hits).all():  # it was asked about everybody
            outcomes.append(replace(target, name=name, clean=hits[0], anonymized=hits[1]))
    return strongest_observer(outcomes)


def gate(paths: list[Path], judge: str) -> str | None:
    """Why the judge takes no part: below its gate in a fold, or None."""
    reasons = [read_record(path)["metrics"][f"{judge}/tar_cross_1e-2"].get("reason") for path in paths]
    return next((reason for reason in reasons if reason), None)


def shown(metric: Metric) -> str:
    """A figure with its interval."""
    if metric.value is None:
        return f"– ({metric.reason})"
    return f"{metric.value:.3f} ({metric.low:.3f}–{metric.high:.3f})"


def in_order(tables: dict[tuple[str, float], pd.DataFrame]) -> list[tuple[tuple[str, float], pd.DataFrame]]:
    """Cells by area, then by method."""
    return sorted(tables.items(), key=lambda item: (item[0][1], item[0][0]))


def cell_rows(tables: dict[tuple[str, float], pd.DataFrame], judge: str, excluded: str | None) -> list[str]:
    """A row a method and area, in markdown.

    "face" is the mean share of the face that is hidden, "control" the fool rate where the same mask is filled by one
    encode and decode.
    """
    lines = [
        "| mask | area | face | n | accuracy | fool rate | control | judge rank 1 | strongest observer | who |",
        "|" + 10 * "---|",
    ]
    for (method, ratio), table in in_order(tables):
        people = table["identity"].to_numpy(str)
        right = (table["pred"] == table["label"]).to_numpy()
        lost_to_target = fooled(table)[0].astype(bool)
        asked, _, hits = seen_by(table, judge)
        rank = clustered_rate(hits[asked], people[asked])
        worst, who = strongest(table, judge, excluded)
        lost = (table["pred_control"] != table["label"]).to_numpy()
        rates = [
            clustered_rate(right, people),
            *(clustered_rate(x[right], people[right]) for x in (lost_to_target, lost)),
        ]
        figures = " | ".join(map(shown, [*rates, rank, worst]))
        face = table["share_hidden_face"].mean()
        hidden = "–" if pd.isna(face) else f"{face:.2f}"  # where nobody knows the landmarks
        lines.append(f"| {method} | {ratio:g} | {hidden} | {len(table)} | {figures} | {', '.join(who)} |")
    return lines


def comparisons(
    tables: dict[tuple[str, float], pd.DataFrame], judges: list[str], reference: str = REFERENCE
) -> list[str]:
    """Each method against the reference at the same area, by fool rate and each judge's rank 1, in markdown.

    Holm over all rows of the table.

    Raises:
        ValueError: the reference is no method of the study, or two methods were tested on different photos.
    """
    methods = sorted({method for method, _ in tables})
    if reference not in methods:
        raise ValueError(f"`against` must be a method of the study, {', '.join(methods)}, but got {reference!r}.")
    rows: list[tuple[str, float, str, Difference, float | None]] = []
    for (method, ratio), table in in_order(tables):
        other = tables.get((reference, ratio))
        if method == reference or other is None:
            continue
        rows.append((method, ratio, "fool rate", *fool_rate_difference(table, other)))
        for judge in judges:
            rows.append((method, ratio, f"{judge} rank 1", *rank_1_difference(table, other, judge)))
    tested = [row[3].p for row in rows if row[3].p is not None]
    corrected = iter(holm(tested))
    lines = [
        f"| mask against {reference} | area | figure | difference | detectable | p | Holm | McNemar | verdict |",
        "|" + 9 * "---|",
    ]
    for method, ratio, figure, found, p_mcnemar in rows:
        mcnemar = "–" if p_mcnemar is None else f"{p_mcnemar:.3g}"
        if found.value is None or found.p is None:
            lines.append(f"| {method} | {ratio:g} | {figure} | – | – | – | – | {mcnemar} | {found.reason} |")
            continue
        p = next(corrected)
        verdict = "no difference shown" if p >= 0.05 else "higher" if found.value > 0 else "lower"
        lines.append(
            f"| {method} | {ratio:g} | {figure} | {found.value:+.3f} ({found.low:+.3f} – {found.high:+.3f}) | "
            f"{found.detectable:.3f} | {found.p:.4f} | {p:.4f} | {mcnemar} | {verdict} |"
        )
    return lines


def report(out: Path, reference: str = REFERENCE) -> str:
    """Both tables of a finished sweep."""
    cells = folds(out)
    first = read_record(next(iter(cells.values()))[0])
    judges = [f"judge/{name}" for name in first["choices"]["judge"]]
    if not judges:
        raise ValueError(f"the runs in {out} had no judge; run the study with judge=[dlib] or another.")
    tables = {cell: pooled(paths) for cell, paths in cells.items()}
    folded = len(next(iter(cells.values())))
    parts = (f"{part}={first['choices'][part]}" for part in ("data", "recognition", "inpainting"))
    text = [f"{', '.join(parts)}; {folded} fold{'s' * (folded > 1)}"]
    for judge in judges:
        excluded = gate(next(iter(cells.values())), judge)
        title = f"## {judge}" + (f" ({excluded}: takes no part in strongest_observer)" if excluded else "")
        text += ["", title, "", *cell_rows(tables, judge, excluded)]
    text += ["", f"## Against {reference}", "", *comparisons(tables, judges, reference)]
    return "\n".join(text) + "\n"


def main() -> int:
    """Runs the study where it is not finished, and writes its tables beside its cells: `table.md`, by reference."""
    given = dict(argument.split("=", 1) for argument in sys.argv[1:] if "=" in argument)
    if "out" not in given or len(given) < len(sys.argv) - 1:
        print(__doc__)
        return 2
    out = Path(given.pop("out")).resolve()
    code, study, reference = 0, given.pop("experiment", "drawn_faces"), given.pop("against", REFERENCE)
    if given.pop("table", "false") != "true":
        keys = [f"{key}={value}" for key, value in given.items()]
        command = [sys.executable, "-m", "privacy_exp.train", f"experiment={study}", f"hydra.sweep.dir={out}", *keys]
        code = subprocess.run(command, check=False).returncode
    try:
        text = report(out, reference)
    except ValueError as error:
        print(error, file=sys.stderr)
        return 1
    name = "table.md" if reference == REFERENCE else f"table_against_{reference}.md"
    (out / name).write_text(text)
    print(text)
    return code


if __name__ == "__main__":
    sys.exit(main())
