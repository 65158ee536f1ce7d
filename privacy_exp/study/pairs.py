"""Pictures that another tool anonymised: pairs of equal names in two folders."""

import logging
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from jaxtyping import Float
from torch import Tensor, nn

from privacy_exp.cache.keys import content_key
from privacy_exp.cache.store import Store
from privacy_exp.data.folder import Folder
from privacy_exp.data.photo import BadDataError
from privacy_exp.data.tables import FileNames, left_over, match_files, read_table
from privacy_exp.evaluation.evaluate import Evaluation, evaluate
from privacy_exp.evaluation.measure import Measure, Scene
from privacy_exp.evaluation.score import score_folder
from privacy_exp.recognition.base import Recognizer
from privacy_exp.runs.folder import RunFolder
from privacy_exp.runs.record import Record, read_record
from privacy_exp.study.learnt import LEARNERS, Learnt, PairedFaces, askable, parts_of
from privacy_exp.study.pairing import Pictures, pair
from privacy_exp.study.rescore import write_evaluation
from privacy_exp.study.study import Study
from privacy_exp.types import Images, UserError

log = logging.getLogger(__name__)

BATCH = 32


class NoRecognizer(Recognizer):
    """Stands where a run has its recogniser: pictures from elsewhere come without one."""

    def __init__(self) -> None:
        super().__init__(nn.Linear(1, 1), nn.Linear(1, 2), 2, 1, "none")

    def prepare(self, images: Images) -> Float[Tensor, "n 3 s s"]:
        """Refuses.

        Raises:
            UserError: always.
        """
        del images
        raise UserError(
            "this measure asks the run's own recogniser, and a folder of pairs has none: choose judges, or measures of "
            "the pictures alone."
        )


def score_pairs(
    originals: str | Path,
    anonymized: str | Path,
    out: str | Path,
    measures: Mapping[str, Measure],
    store: Store,
    identities: str | Path | None = None,
    image_size: Sequence[int] | None = None,
    device: str = "cpu",
    anonymized_name: str | None = None,
    learnt: Learnt | None = None,
) -> Evaluation:
    """Scores pairs of pictures with the same names, and leaves them in `out` in the layout of a run.

    Args:
        originals: one sub-folder a person, any folder of pictures, or a run folder.
        anonymized: the same relative names; suffixes may differ. A run folder's own results are taken.
        out: takes `original`, `results`, `evaluation.json`, `evaluation.parquet`, a `record.json` and `grid.png`, and
            in `learnt` the pairs that attackers learn from.
        measures: judges and the like, by group and name.
        store: keeps what they compute.
        identities: csv with the columns `image, identity`, the image relative to `originals`. Without it the sub-folder
            says who it is; in a flat folder every photo counts as another person.
        image_size: (height, width) in pixels that all pictures are cut to; None keeps their own.
        device: "cpu" or "cuda".
        anonymized_name: how the tool names a result, such as "{stem}_anonymized.*"; None: as the original.
        learnt: further pairs of the same people for attackers; without them those that learn are left out, and named.

    Raises:
        FileExistsError: `out` holds pictures already.
        UserError: no measure, names that do not pair, pictures of different sizes, an image without identity.
    """
    if not measures:
        raise UserError("choose what should look at the pairs: judge=[onnx], utility=[pixels], or several.")
    measures, not_asked = askable(measures, learnt)
    target = Path(out)
    if target.exists() and any(target.iterdir()):
        raise FileExistsError(f"`out` must be a new or empty folder, but {target} holds files.")
    asked = _paired(originals, anonymized, identities, image_size, anonymized_name)
    known = None
    if learnt is not None:
        known = _paired(learnt.originals, learnt.anonymized, identities, image_size, anonymized_name, "learnt%2F")
        _check_same_kind(asked, known)
    names = sorted(set(asked.people.values()) | set(known.people.values() if known else ()))
    labels = {name: label for label, name in enumerate(names)}
    try:
        asked.save(RunFolder(target, "png"), sorted(asked.people), labels)
        ids = sorted(asked.people)
        table = pd.DataFrame({"image_id": ids, "identity": [asked.people[i] for i in ids]})
        table["label"] = np.array([labels[asked.people[i]] for i in ids], dtype=np.int64)
        scene = Scene(RunFolder(target), table, names, NoRecognizer(), store, device=torch.device(device))
        if learnt is not None and known is not None:
            scene = _taught(scene, learnt, asked, known, labels)
        found = evaluate(scene, measures, gate=scene.gate)
    except BaseException:  # the corrected command finds the folder as it was
        for kind in ("original", "results", "learnt"):
            shutil.rmtree(target / kind, ignore_errors=True)
        raise
    found.warnings += asked.left_out + ([] if known is None else known.left_out)
    found.details["not_asked"] = not_asked
    lacking = ", ".join(LEARNERS if learnt is None else (name.partition("/")[2] for name in not_asked))
    if lacking:
        found.warnings.append(
            f"not asked: {lacking}; {'no further pairs are at hand' if learnt is None else 'there is no target'}. Rank "
            "these pictures only against others that the same observers have seen."
        )
    if len(set(asked.people.values())) == len(ids):
        found.warnings.append(
            "identities are unknown and every photo counts as another person: rates that need two photos of one person "
            "are null, and people who occur twice raise the thresholds."
        )
    if _drawn(Path(originals)):
        found.details["drawn"] = True  # a report may show them
    write_evaluation(target, found, {"originals": str(originals), "anonymized": str(anonymized)})
    _record(target, found, asked.before.digest(), Path(anonymized), measures, device)
    return found


def _taught(scene: Scene, learnt: Learnt, asked: "_Paired", known: "_Paired", labels: Mapping[str, int]) -> Scene:
    """The scene with further pairs for attackers, and with a target where one is to be fitted."""
    parts = parts_of(known.people)
    folders = {part: RunFolder(scene.folder.path / "learnt" / part, "png") for part in parts if parts[part]}
    for part, folder in folders.items():
        known.save(folder, sorted(parts[part]), labels)
    data = PairedFaces({**folders, "test": scene.folder}, {**asked.people, **known.people})
    data.setup()
    made: dict[str, Any] = {
        "data": data,
        "config": {"image_format": "png"},
        "anonymize": lambda part, seed: folders[part],
    }
    if learnt.recognizer is None:
        return replace(scene, **made)
    trainer = {"accelerator": "gpu" if scene.device.type == "cuda" else "cpu"}
    study = Study(
        data, learnt.recognizer, out=scene.folder.path, recipe=learnt.recipe, trainer=trainer, cache=scene.store.root
    )
    target = study.fit().recognizer
    table = score_folder(scene.folder, target, data.identities)
    return replace(scene, **made, table=table, recognizer=target, fit=study.fit_again)


@dataclass(frozen=True)
class _Paired:
    """Two folders of pictures, and what belongs together.

    Attributes:
        before: the originals.
        after: what became of them.
        keys: id of an original to the image id that both get.
        belongs: id of a result to the same.
        people: image id to who is on it.
        left_out: a sentence on what does not pair, if anything does not.
    """

    before: Folder
    after: Folder
    keys: Mapping[str, str]
    belongs: Mapping[str, str]
    people: Mapping[str, str]
    left_out: list[str]

    def save(self, folder: RunFolder, ids: Sequence[str], labels: Mapping[str, int]) -> None:
        """Pixels as they were decoded, in the layout of a run."""
        for kind, data, called in (("original", self.before, self.keys), ("results", self.after, self.belongs)):
            photos = [photo for photo in data.photos["test"] if called[photo.id] in set(ids)]
            for start in range(0, len(photos), BATCH):
                faces = data.faces(photos[start : start + BATCH])
                names = [called[i] for i in faces.ids]
                folder.save(kind, names, torch.tensor([labels[self.people[i]] for i in names]), faces.images)


def _paired(
    originals: str | Path,
    anonymized: str | Path,
    identities: str | Path | None,
    image_size: Sequence[int] | None,
    pattern: str | None,
    prefix: str = "",
) -> _Paired:
    one, other = Pictures(originals, "original", image_size), Pictures(anonymized, "results", image_size)
    belongs, left_out = pair(one, other, pattern)
    _check_sizes(one.data, other.data)
    log.info("%d of %d originals are paired", len(belongs), len(one.data.names))
    keys = {image_id: key for key, image_id in one.keys().items()}
    people = {prefix + keys[i]: person for i, person in _people(one.data, one.root, keys, identities).items()}
    return _Paired(
        one.data,
        other.data,
        {i: prefix + key for i, key in keys.items()},
        {i: prefix + key for i, key in belongs.items()},
        people,
        left_out,
    )


def _record(
    target: Path, found: Evaluation, digest: str, anonymized: Path, measures: Mapping[str, Measure], device: str
) -> None:
    """A record like a run's, so that a report shows pairs over the same originals in one table."""
    groups: dict[str, list[str]] = {}
    for name in measures:
        group, _, stem = name.partition("/")
        groups.setdefault(group, []).append(stem)
    Record(
        key=content_key({"pairs": digest, "anonymized": str(anonymized.resolve())}),
        choices={"data": "pairs", "masking": anonymized.name, **groups},
        config={},
        mask_ratio=None,
        seed=0,
        n=len(found.table),
        metrics=found.metrics,
        observers=found.observers,
        timing={},
        details={"data_digest": digest, "people": int(found.table["label"].nunique()), **found.details},
        warnings=found.warnings,
        device=device,
    ).write(target)


def _drawn(originals: Path) -> bool:
    """Whether these are a run's drawn faces; of pictures without a record nobody knows."""
    if not (originals / "record.json").is_file():
        return False
    data = read_record(originals)["config"].get("data")
    return isinstance(data, Mapping) and str(data.get("_target_")).endswith(".DrawnFaces")


def _check_sizes(before: Folder, after: Folder) -> None:
    if before.image_size != after.image_size:
        raise BadDataError(
            f"`originals` are {before.image_size} (height, width) but `anonymized` {after.image_size}; cut both to one "
            "size with image_size=[height,width]."
        )


def _check_same_kind(asked: _Paired, known: _Paired) -> None:
    """Attackers learn about the people whom they are asked about, from pictures of the same size."""
    if asked.before.image_size != known.before.image_size:
        raise BadDataError(
            f"`originals` are {asked.before.image_size} (height, width) but `train_originals` "
            f"{known.before.image_size}; cut both to one size with image_size=[height,width]."
        )
    lacking = sorted(set(asked.people.values()) - set(known.people.values()))
    if lacking:
        raise BadDataError(
            f"`train_originals` must show the people of `originals` in other photos, but {len(lacking)} of "
            f"{len(set(asked.people.values()))} have none there, such as {lacking[0]!r}: add some, or leave them out."
        )


def _people(data: Folder, root: Path, keys: Mapping[str, str], identities: str | Path | None) -> dict[str, str]:
    """Picture to who is on it; the image itself where nobody says."""
    ids = [photo.id for photo in data.photos["test"]]
    if identities is None:
        inside = {i: keys[i].split("%2F", 1)[0] for i in ids if "%2F" in keys[i]}
        if inside and len(inside) < len(ids):
            loose = next(i for i in ids if i not in inside)
            raise BadDataError(f"{loose} lies in {root} itself, the others in a sub-folder a person; move it to one.")
        return inside or {i: keys[i] for i in ids}
    named = _read_identities(Path(identities), data)
    missing = [i for i in ids if i not in named]
    if missing:
        raise BadDataError(f"{len(missing)} pictures, such as {missing[0]}, have no row in {identities}.")
    return {i: named[i] for i in ids}


def _read_identities(path: Path, data: Folder) -> dict[str, str]:
    """Image id to who is on it, as a csv table (image, identity) says."""
    if not path.is_file():
        raise FileNotFoundError(f"`identities` must be a csv file, but there is no {path}.")
    table = read_table(path, ["identity"], key="image")
    matched = match_files(table, FileNames(data.names.values(), Path(str(data.root))))
    for line in left_over(table, matched):
        log.warning("%s", line)
    return {i: matched.rows[name]["identity"] for i, name in data.names.items() if name in matched.rows}
