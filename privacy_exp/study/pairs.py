"""Pictures that another tool anonymised: pairs of equal names in two folders."""

import logging
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path

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
from privacy_exp.recognition.base import Recognizer
from privacy_exp.runs.folder import RunFolder
from privacy_exp.runs.record import Record
from privacy_exp.study.pairing import Pictures, pair
from privacy_exp.study.rescore import write_evaluation
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
) -> Evaluation:
    """Scores pairs of pictures with the same names, and leaves them in `out` in the layout of a run.

    Args:
        originals: one sub-folder a person, any folder of pictures, or a run folder.
        anonymized: the same relative names; suffixes may differ. A run folder's own results are taken.
        out: takes `original`, `results`, `evaluation.json`, `evaluation.parquet`, a `record.json` and `grid.png`.
        measures: judges and the like, by group and name.
        store: keeps what they compute.
        identities: csv with the columns `image, identity`, the image relative to `originals`. Without it the sub-folder
            says who it is; in a flat folder every photo counts as another person.
        image_size: (height, width) in pixels that all pictures are cut to; None keeps their own.
        device: "cpu" or "cuda".
        anonymized_name: how the tool names a result, such as "{stem}_anonymized.*"; None: as the original.

    Raises:
        FileExistsError: `out` holds pictures already.
        UserError: no measure, names that do not pair, pictures of different sizes, an image without identity.
    """
    if not measures:
        raise UserError("choose what should look at the pairs: judge=[onnx], utility=[pixels], or several.")
    target = Path(out)
    if target.exists() and any(target.iterdir()):
        raise FileExistsError(f"`out` must be a new or empty folder, but {target} holds files.")
    one, other = Pictures(originals, "original", image_size), Pictures(anonymized, "results", image_size)
    belongs, left_out = pair(one, other, anonymized_name)
    before, after = one.data, other.data
    _check_sizes(before, after)
    log.info("%d of %d originals are paired", len(belongs), len(before.names))
    keys = {image_id: key for key, image_id in one.keys().items()}
    people = {keys[i]: person for i, person in _people(before, one.root, keys, identities).items()}
    names = sorted(set(people.values()))
    labels = {name: label for label, name in enumerate(names)}
    folder = RunFolder(target, "png")  # pixels as they were decoded
    for kind, data, called in (("original", before, keys), ("results", after, belongs)):
        for faces in data.batches("test", BATCH):
            found_ids = [called[i] for i in faces.ids]
            folder.save(kind, found_ids, torch.tensor([labels[people[i]] for i in found_ids]), faces.images)
    ids = sorted(people)
    table = pd.DataFrame({"image_id": ids, "identity": [people[i] for i in ids]})
    table["label"] = np.array([labels[people[i]] for i in ids], dtype=np.int64)
    scene = Scene(RunFolder(target), table, names, NoRecognizer(), store, device=torch.device(device))
    try:
        found = evaluate(scene, measures, gate=0.0)
    except BaseException:  # the corrected command finds the folder as it was
        for kind in ("original", "results"):
            shutil.rmtree(target / kind)
        raise
    found.warnings += left_out
    if len(names) == len(ids):
        found.warnings.append(
            "identities are unknown and every photo counts as another person: rates that need two photos of one person "
            "are null, and people who occur twice raise the thresholds."
        )
    write_evaluation(target, found, {"originals": str(originals), "anonymized": str(anonymized)})
    _record(target, found, before.digest(), Path(anonymized), measures, device)
    return found


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


def _check_sizes(before: Folder, after: Folder) -> None:
    if before.image_size != after.image_size:
        raise BadDataError(
            f"`originals` are {before.image_size} (height, width) but `anonymized` {after.image_size}; cut both to one "
            "size with image_size=[height,width]."
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
