"""Scoring a run folder after the fact."""

import json
from collections.abc import Collection, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pandas as pd
import torch

from privacy_exp.cache.files import atomic_file, write_text
from privacy_exp.cache.store import Store, default_root
from privacy_exp.data.base import FaceData
from privacy_exp.data.tables import read_table
from privacy_exp.evaluation.by_attribute import ATTRIBUTE
from privacy_exp.evaluation.evaluate import Evaluation, evaluate
from privacy_exp.evaluation.measure import Measure, Scene
from privacy_exp.evaluation.minimal import NOTED
from privacy_exp.evaluation.score import score_folder
from privacy_exp.recognition.fit import CHECKPOINT, checkpoint_identities, load_checkpoint
from privacy_exp.runs.folder import RunFolder
from privacy_exp.runs.grid import write_grid
from privacy_exp.runs.record import read_record
from privacy_exp.study.job import Job
from privacy_exp.study.scene import lend
from privacy_exp.study.stages import Fitted
from privacy_exp.types import UserError


def rescore(
    run: str | Path,
    checkpoint: str | None = None,
    label_map: str | None = None,
    gate: float = 0.8,
    batch_size: int = 32,
    device: str = "cpu",
    measures: Mapping[str, Measure] | None = None,
    data: FaceData | None = None,
    config: Mapping[str, Any] | None = None,
    store: Store | None = None,
    trust: Collection[str] = (),
    job: Job | None = None,
) -> Evaluation:
    """Scores the pictures in `run` and writes `evaluation.json` and `evaluation.parquet` there.

    Args:
        run: a folder with `original`, `masks` and `results`, and `control` where there is one.
        checkpoint: recogniser, a file or a run folder; None takes the run's own.
        label_map: csv with the columns `class_id, identity`: what the class ids in the file names mean. None takes
            them as the recogniser's own.
        gate: clean accuracy below it flags every privacy figure.
        batch_size: pictures at a time.
        device: "cpu" or "cuda".
        measures: judges and the like, by group and name.
        data: the run's, built again from its record; None where that is unknown: measures then see the test photos
            alone.
        config: the run's configuration, from its record.
        store: keeps what measures compute; None takes the user's own.
        trust: packages besides this one whose recognisers a checkpoint may name.
        job: the run again, see `job_again`; it anonymises further photos for attackers. None: they find nothing, or say
            what they lack.

    Raises:
        FileNotFoundError: no such folder, no pictures or no recogniser.
        UserError: pictures that do not pair, classes that the recogniser does not know, or data that has changed.
    """
    path = Path(run)
    if not path.is_dir():
        raise FileNotFoundError(f"`run` must be a run folder, but {path} is none.")
    source = checkpoint if checkpoint is not None else path / CHECKPOINT
    if checkpoint is None and not Path(source).is_file():
        raise FileNotFoundError(f"{path} holds no {CHECKPOINT}; name one with recognition.checkpoint=RUN_OR_FILE.")
    identities = checkpoint_identities(source)
    recognizer = load_checkpoint(source, trust=trust).to(torch.device(device))
    classes = None if label_map is None else read_label_map(Path(label_map), identities)
    table = score_folder(RunFolder(path), recognizer, identities, batch_size, classes=classes)
    table = _with_the_runs_own(table, path / "images.parquet")
    if data is not None:
        _check_same_data(path, data, table, identities)
    recorded = dict(config or {})
    recorded["evaluation"] = {**recorded.get("evaluation", {}), "gate": gate}  # one gate for all observers
    scene = Scene(
        folder=RunFolder(path),
        table=table,
        identities=identities,
        recognizer=recognizer,
        store=store or Store(default_root()),
        seed=int((config or {}).get("seed", 0)),
        device=torch.device(device),
        data=data,
        config=recorded,
    )
    if job is not None:
        recognizer.choose_target_layer(job.study.target_layer)
        scene = lend(job, scene, Fitted(recognizer, Path(source), 0.0, reused=True))
    found = evaluate(scene, measures or {}, gate)
    write_evaluation(path, found, {"checkpoint": str(source)})
    return found


def write_evaluation(path: Path, found: Evaluation, facts: Mapping[str, Any]) -> None:
    """Writes `evaluation.parquet`, `evaluation.json` and `grid.png`.

    Args:
        path: the folder that takes them.
        found: what there is to tell.
        facts: further fields of the json.
    """
    with atomic_file(path / "evaluation.parquet") as temporary:
        found.table.to_parquet(temporary, engine="pyarrow", index=False)
    metrics = {name: asdict(metric) for name, metric in found.metrics.items()}
    content = {**facts, "n": len(found.table), "observers": found.observers, "metrics": metrics}
    content |= {"details": found.details, "warnings": found.warnings}
    write_text(path / "evaluation.json", json.dumps(content, indent=2, allow_nan=False) + "\n")
    write_grid(RunFolder(path), path / "grid.png")


def _check_same_data(path: Path, data: FaceData, table: pd.DataFrame, identities: list[str]) -> None:
    """The data as it is now must be what the run saw: thresholds and fits come from it."""
    now = sorted(photo.id for photo in data.photos["test"])
    if data.identities != identities or now != list(table["image_id"]):
        raise UserError(
            f"the data that the record of {path} names has other people or test photos now than the run saw; restore "
            "it, or point `data.root` to a copy as it was."
        )
    record = path / "record.json"
    digest = read_record(path)["details"].get("data_digest") if record.is_file() else None
    if digest is not None and digest != data.digest():
        raise UserError(f"photos or labels of the data have changed since {path} was made; restore them.")


def read_label_map(path: Path, identities: list[str]) -> dict[int, int]:
    """Class id in the file names to the recogniser's label.

    Args:
        path: csv with the columns `class_id, identity`.
        identities: the recogniser's, in the order of its labels.

    Raises:
        UserError: columns are missing, a class id is no number or stands twice, or an identity is unknown.
    """
    if not path.is_file():
        raise FileNotFoundError(f"`label_map` must be a csv file, but {path} is none.")
    labels = {identity: label for label, identity in enumerate(identities)}
    table = read_table(path, ["identity"], key="class_id")
    classes: dict[int, int] = {}
    for number, row in table.rows.items():
        line, identity = table.lines[number], row["identity"]
        if not number.isdecimal() or int(number) in classes:
            raise UserError(f"{path} line {line}: class id {number!r} is no number, or stands there twice.")
        if identity not in labels:
            known = ", ".join(identities[:5])
            raise UserError(f"{path} line {line}: the recogniser does not know {identity!r}; it knows {known}, …")
        classes[int(number)] = labels[identity]
    return classes


def _with_the_runs_own(table: pd.DataFrame, written: Path) -> pd.DataFrame:
    """Shares, attributes and notes on masks, which only the run itself could know, from its own table.

    In a folder made elsewhere the shares are null, and of the rest there is none.
    """
    names = ["share_asked", "share_hidden_face", "share_hidden_latent"]
    if not written.is_file():
        return table.assign(**{name: pd.array([None] * len(table), dtype="Float64") for name in names})
    own = pd.read_parquet(written)
    names += [name for name in own.columns if name.startswith((ATTRIBUTE, NOTED))]
    return table.merge(own[["image_id", *names]], on="image_id", how="left")
