"""A submission of pictures: what its record says is computed again from its table, its masks and its pictures."""

import hashlib
import re
from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from privacy_exp.evaluation.privacy import privacy_metrics
from privacy_exp.evaluation.score import score_folder
from privacy_exp.recognition.fit import CHECKPOINT, checkpoint_identities, load_checkpoint
from privacy_exp.report.board import FIGURES, BoardSection, Entry
from privacy_exp.report.board_submission import Submission, manifest_digest
from privacy_exp.report.eee import without_folders
from privacy_exp.runs.folder import RunFolder, read_rgb
from privacy_exp.runs.parts import parts_of
from privacy_exp.runs.picture import Picture
from privacy_exp.runs.record import damage, read_record
from privacy_exp.types import Metric, UserError

KEPT = 1
"""Levels of 255 by which a pixel outside the mask may differ in PNG files; 64 in JPEG's, whose blocks spill."""

ALIKE = 0.98
"""Share of the pictures on which another machine must see the same people: floating-point numbers differ."""


def check_pictures(submission: Submission, board: Path) -> Entry | None:
    """Checks a run's folder against its section; None where it is refused.

    Args:
        submission: its manifest holds.
        board: the board's folder.
    """
    del board
    try:
        record = read_record(submission.folder)
        table = pd.read_parquet(submission.folder / "images.parquet").sort_values("image_id")
        run = RunFolder(submission.folder)
        shares = _pictures(submission, run)
    except (UserError, OSError, ValueError) as error:
        submission.faults.append(f"it cannot be read: {error}")
        return None
    _record(submission, record)
    _area(submission, table, shares)
    _figures(submission, record, table)
    if not submission.faults:
        _predictions(submission, run, table)
    return _entry(submission, record, shares)


def pixels_digest(path: Picture) -> str:
    """SHA-256 of a picture's size and pixels, whatever its file format."""
    pixels = read_rgb(path)
    return hashlib.sha256(str(pixels.shape).encode() + pixels.tobytes()).hexdigest()


def _pictures(submission: Submission, run: RunFolder) -> dict[str, float]:
    """Originals are the section's, results differ from them inside masks alone; the share that each mask hides."""
    section: BoardSection = submission.section
    originals, masks, results = (run.list(kind) for kind in ("original", "masks", "results"))
    for kind, found in (("original", originals), ("masks", masks), ("results", results)):
        missing = sorted(set(section.images) - set(found))
        if missing:
            submission.faults.append(f"{kind} lacks {len(missing)} of the section's images, such as {missing[0]}.")
        if set(found) - set(section.images):
            submission.faults.append(f"{kind} holds {min(set(found) - set(section.images))}, which the section lacks.")
    shares = {}
    for image_id in sorted(set(section.images) & set(originals) & set(masks) & set(results)):
        if pixels_digest(originals[image_id][0]) != section.images[image_id][1]:
            submission.faults.append(f"original/{originals[image_id][0].name} is not the section's picture.")
            continue
        before, mask, after = (read_rgb(found[image_id][0]) for found in (originals, masks, results))
        if not before.shape == mask.shape == after.shape:
            submission.faults.append(f"{image_id}: original, mask and result differ in size.")
            continue
        hidden = mask[..., 0] >= 128
        shares[image_id] = float(hidden.mean())
        change = np.abs(before.astype(np.int16) - after).max(axis=2)[~hidden]
        lossless = results[image_id][0].suffix == ".png" and originals[image_id][0].suffix == ".png"
        if change.size and np.quantile(change, 1.0 if lossless else 0.99) > (KEPT if lossless else 64):
            submission.faults.append(f"results/{results[image_id][0].name} differs from its original outside the mask.")
    return shares


def _record(submission: Submission, record: Mapping[str, Any]) -> None:
    section = submission.section
    if record["schema"] != section.protocol:
        submission.faults.append(f"the section's protocol is {section.protocol}, the record's {record['schema']}.")
    digest = record.get("details", {}).get("data_digest")
    if digest != section.data_digest:
        submission.faults.append(f"the record is about other data ({digest}) than the section ({section.data_digest}).")
    asked = record.get("details", {}).get("observers", {})
    missing = [name for name in section.observers if name not in asked]
    if missing:
        submission.faults.append(f"missing observers: {', '.join(missing)}; the section asks for all of its list.")
    stale = [name for name, known in record.get("files", {}).items() if submission.files.get(name, known) != known]
    if stale:
        submission.faults.append(f"record.json was written for another {stale[0]}.")
    elif RunFolder(submission.folder).packed and (wrong := damage(submission.folder, record.get("files", {}))):
        submission.faults.append(f"record.json was written for other pictures: {wrong}.")


def _area(submission: Submission, table: pd.DataFrame, shares: Mapping[str, float]) -> None:
    said = dict(zip(table["image_id"], table["share_hidden"], strict=True))
    wrong = [i for i, share in shares.items() if abs(said.get(i, -1.0) - share) > 1e-3]
    if wrong:
        i = wrong[0]
        submission.faults.append(
            f"images.parquet says that {said.get(i)} of {i} is hidden, but its mask hides {shares[i]:.4f}."
        )
    area = submission.section.equal_area
    unequal = [i for i, share in shares.items() if area is not None and abs(share - area) > 1e-3]
    if unequal:
        i = unequal[0]
        submission.faults.append(
            f"unequal areas: the section asks for {area:g} of every frame, but {len(unequal)} of {len(shares)} masks "
            f"hide another share, such as {shares[i]:.4f} of {i}."
        )


def _figures(submission: Submission, record: Mapping[str, Any], table: pd.DataFrame) -> None:
    """The target's figures with their intervals, and the hits of all observers, follow from the table."""
    section, told = submission.section, record["metrics"]
    people = {i: section.images[i][0] for i in table["image_id"] if i in section.images}
    if any(people.get(i) != who for i, who in zip(table["image_id"], table["identity"], strict=True)):
        submission.faults.append("images.parquet names other people than the section.")
    wanted = privacy_metrics(table, section.gate) if {"pred", "pred_anonymized"} <= set(table.columns) else {}
    for name in (c for c in table.columns if c.endswith("/rank_1") and c in told):
        hits = table[name].dropna()
        wanted[name] = Metric(float(hits.mean()) if len(hits) else None, None, None, len(hits))
    for name, metric in wanted.items():
        said = told.get(name, {})
        for part in ("value", "low", "high"):
            want, got = getattr(metric, part), said.get(part)
            if want is not None and (not isinstance(got, int | float) or abs(want - got) > 1e-6):
                submission.faults.append(f"{name} is {got} in the record, but {want:.6f} follows from images.parquet.")
                break
    submission.recomputed.append(f"from images.parquet: {', '.join(wanted) or 'nothing'}")


def _predictions(submission: Submission, run: RunFolder, table: pd.DataFrame) -> None:
    """Whom the submission's own recogniser sees on its pictures."""
    checkpoint = submission.folder / CHECKPOINT
    if not checkpoint.is_file():
        submission.recomputed.append("not from the pictures: the submission holds no recogniser")
        return
    try:
        seen = score_folder(run, load_checkpoint(checkpoint), checkpoint_identities(checkpoint))
    except (UserError, OSError) as error:
        submission.faults.append(f"its recogniser cannot be asked: {error}")
        return
    for column in ("pred", "pred_anonymized"):
        alike = float((seen[column].to_numpy() == table[column].to_numpy()).mean())
        if alike < ALIKE:
            submission.faults.append(
                f"the recogniser sees other people on {1 - alike:.0%} of the pictures than images.parquet says "
                f"({column})."
            )
    submission.recomputed.append(f"from the pictures: whom the target sees on {len(seen)} originals and results")


def _entry(submission: Submission, record: Mapping[str, Any], shares: Mapping[str, float]) -> Entry:
    names = {part.name for part in fields(Metric)}
    metrics = {n: Metric(**{k: v for k, v in m.items() if k in names}) for n, m in record["metrics"].items()}
    metrics = {n: m for n, m in metrics.items() if not n.startswith("by/")}
    details = record.get("details", {})
    ratio = record.get("mask_ratio")
    tool = submission.tool
    stem = "-".join(re.sub(r"\W+", "_", str(part)).strip("_") for part in (tool["name"], tool["version"]))
    return Entry(
        name=stem[:80] or "entry",
        kind="pictures",
        tool=tool,
        against=None,
        observers=observer_figures(metrics, details.get("observers", {})),
        metrics=metrics,
        facts={
            "n": record["n"],
            "people": details.get("people"),
            "mask_ratio": ratio,
            "share_hidden": float(np.mean(list(shares.values()))) if shares else None,
            "choices": {group: record["choices"].get(group) for group in ("masking", "inpainting")},
            "warnings": [without_folders(str(text)) for text in record.get("warnings", [])],
        },
        verify={
            "command": submission.told.get("command"),
            "parts": [part._asdict() for part in parts_of(record)],
            "files": len(submission.files),
            "manifest": manifest_digest(submission.files),
            "versions": {k: v for k, v in record.get("versions", {}).items() if k != "platform"},
            "recomputed": submission.recomputed,
        },
    )


def observer_figures(metrics: Mapping[str, Metric], asked: Mapping[str, Any]) -> dict[str, tuple[str, Metric]]:
    """What each observer still recognises, and what that figure is called."""
    found = {}
    for observer in asked:
        prefix = "" if observer == "target" else f"{observer}/"
        figure = next((f for f in FIGURES if f"{prefix}{f}" in metrics), None)
        if figure is not None:
            found[str(observer)] = (figure, metrics[f"{prefix}{figure}"])
    return found
