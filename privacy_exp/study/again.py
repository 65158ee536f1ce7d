"""A finished run as a job again, made of what its record says, so that attackers may have more photos anonymised."""

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from privacy_exp.cache.named import make_named
from privacy_exp.cache.store import Store
from privacy_exp.data.base import FaceData
from privacy_exp.evaluation.measure import Measure
from privacy_exp.inpainting.base import Inpainter
from privacy_exp.masking.base import BaseMasker, Masker, OwnArea
from privacy_exp.recognition.base import Recognizer
from privacy_exp.recognition.recipe import FitRecipe
from privacy_exp.runs.record import RECORD
from privacy_exp.study.job import Job
from privacy_exp.study.place import Place
from privacy_exp.study.study import Study
from privacy_exp.types import UserError


def asks_for_more(measure: Measure, data: FaceData) -> bool:
    """Whether a measure has photos anonymised or recognisers fitted, besides looking at the run.

    Args:
        measure: any.
        data: the run's, after `setup()`.
    """
    cost = measure.cost(data, recognizer_frozen=False, seed=0)
    return bool(cost.fits or cost.pictures)


def job_again(
    run: Path, config: Mapping[str, Any], data: FaceData, store: Store, device: str, trust: Collection[str] = ()
) -> Job:
    """The job whose record is in `run`, on one device; nothing of it is computed.

    The record is data: every class it names is checked before it is made.

    Args:
        run: the run's folder.
        config: its record's `config`.
        data: the run's, after `setup()`.
        store: where what it computed is kept.
        device: "cpu" or "cuda".
        trust: packages besides this one whose parts a record may name.

    Raises:
        UserError: a part that can't be made from plain values, or of a package that is not trusted.
        FileNotFoundError: a file that the record names is gone.
    """
    source = run / RECORD
    lacking = [
        name for name in ("recognition", "masking", "inpainting", "trainer", "image_format") if name not in config
    ]
    if lacking:
        raise UserError(f"{source} does not say which `{lacking[0]}` the run had.")
    recognition = config["recognition"]
    net = make_named(recognition["net"], Recognizer, source, trust)  # type: ignore[type-abstract]  # any of them
    recipe = make_named(recognition["module"], FitRecipe, source, trust)
    masker = make_named(config["masking"], BaseMasker, source, trust)  # type: ignore[type-abstract]
    inpainter = make_named(config["inpainting"], Inpainter, source, trust)  # type: ignore[type-abstract]
    assert isinstance(masker, Masker | OwnArea)  # noqa: S101  there are no others
    keywords = {name: value for name, value in config["trainer"].items() if not name.startswith("_")}
    place = {"accelerator": "gpu" if device == "cuda" else "cpu", "devices": 1, "strategy": "auto"}
    study = Study(
        data,
        net,
        out=run.parent,
        seed=int(config["seed"]),
        recipe=recipe,
        trainer={**keywords, **place},
        cache=store.root,
        target_layer=recognition["target_layer"],
        init_from=recognition["init_from"],
        checkpoint=recognition["checkpoint"],
    )
    return Job(study, masker, inpainter, {}, config, Place(run, run.name, run.parent.name, {}))
