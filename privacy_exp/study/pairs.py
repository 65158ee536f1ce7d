"""Pictures that another tool anonymised: pairs of equal names in two folders."""

import logging
import shutil
from collections.abc import Mapping, Sequence
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
from privacy_exp.recognition.base import Recognizer
from privacy_exp.runs.folder import RunFolder
from privacy_exp.runs.record import Record
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
) -> dict[str, float | None]:
    """Scores pairs of pictures with the same names, and leaves them in `out` in the layout of a run.

    Args:
        originals: one sub-folder a person, or any folder of pictures.
        anonymized: the same relative names; suffixes may differ.
        out: takes `original`, `results`, `evaluation.json`, `evaluation.parquet`, a `record.json` and `grid.png`.
        measures: judges and the like, by group and name.
        store: keeps what they compute.
        identities: csv with the columns `image, identity`, the image relative to `originals`. Without it the sub-folder
            says who it is; in a flat folder every photo counts as another person.
        image_size: (height, width) in pixels that all pictures are cut to; None keeps their own.
        device: "cpu" or "cuda".

    Returns:
        Metric names to values.

    Raises:
        FileExistsError: `out` holds pictures already.
        UserError: no measure, names that do not pair, pictures of different sizes, an image without identity.
    """
    if not measures:
        raise UserError("choose what should look at the pairs: judge=[onnx], utility=[pixels], or several.")
    target = Path(out)
    if target.exists() and any(target.iterdir()):
        raise FileExistsError(f"`out` must be a new or empty folder, but {target} holds files.")
    before, after = (_pictures(root, image_size) for root in (originals, anonymized))
    _check_pairs(before, after, Path(originals), Path(anonymized))
    people = _people(before, Path(originals), identities)
    names = sorted(set(people.values()))
    labels = {name: label for label, name in enumerate(names)}
    folder = RunFolder(target, "png")  # pixels as they were decoded
    for kind, data in (("original", before), ("results", after)):
        for faces in data.batches("test", BATCH):
            folder.save(kind, faces.ids, torch.tensor([labels[people[i]] for i in faces.ids]), faces.images)
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
    if len(names) == len(ids):
        found.warnings.append(
            "identities are unknown and every photo counts as another person: rates that need two photos of one person "
            "are null, and people who occur twice raise the thresholds."
        )
    write_evaluation(target, found, {"originals": str(originals), "anonymized": str(anonymized)})
    _record(target, found, before.digest(), Path(anonymized), measures, device)
    return {name: metric.value for name, metric in found.metrics.items()}


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
        details={"data_digest": digest, **found.details},
        warnings=found.warnings,
        device=device,
    ).write(target)


def _pictures(root: str | Path, image_size: Sequence[int] | None) -> Folder:
    data = Folder(str(root), image_size=image_size, labelled=False, min_images_per_identity=1)
    data.setup()
    return data


def _check_pairs(before: Folder, after: Folder, originals: Path, anonymized: Path) -> None:
    left, right = ({photo.id for photo in data.photos["test"]} for data in (before, after))
    odd = sorted(left ^ right)
    if odd:
        where = originals if odd[0] in left else anonymized
        raise BadDataError(
            f"`originals` and `anonymized` do not pair: {len(odd)} pictures stand in one folder only, such as {odd[0]} "
            f"in {where}. Names must be the same up to the suffix."
        )
    if before.image_size != after.image_size:
        raise BadDataError(
            f"`originals` are {before.image_size} (height, width) but `anonymized` {after.image_size}; cut both to one "
            "size with image_size=[height,width]."
        )


def _people(data: Folder, root: Path, identities: str | Path | None) -> dict[str, str]:
    """Image id to who is on it; the image itself where nobody says."""
    ids = [photo.id for photo in data.photos["test"]]
    if identities is None:
        inside = {i: i.split("%2F", 1)[0] for i in ids if "%2F" in i}
        if inside and len(inside) < len(ids):
            loose = next(i for i in ids if i not in inside)
            raise BadDataError(f"{loose} lies in {root} itself, the others in a sub-folder a person; move it to one.")
        return inside or {i: i for i in ids}
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


def mode(config: Mapping[str, Any]) -> str:
    """What `evaluate` was asked to score: "run" or "pairs".

    Raises:
        UserError: neither, both, or half of a pair.
    """
    given = [key for key in ("run", "originals", "anonymized") if config[key] is not None]
    if given == ["run"]:
        return "run"
    if given == ["originals", "anonymized"] and config["out"] is not None:
        return "pairs"
    raise UserError(
        "give what to score: run=DIR for a run folder, or originals=DIR anonymized=DIR out=DIR for pairs of pictures "
        f"made elsewhere; got {', '.join(given) or 'none of them'}."
    )
