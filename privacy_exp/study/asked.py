"""From what a study was asked in Python to a run with every part built and checked."""

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from privacy_exp.cache.configured import description
from privacy_exp.cache.keys import content_key, scientific
from privacy_exp.evaluation.measure import Measure
from privacy_exp.inpainting.base import Inpainter
from privacy_exp.masking.base import Masker, OwnArea
from privacy_exp.runs.formats import FORMATS
from privacy_exp.runs.layouts import LAYOUTS
from privacy_exp.study.implied import IMPLIED, implied
from privacy_exp.study.job import Job
from privacy_exp.study.place import MEASURES, Place
from privacy_exp.study.stems import part
from privacy_exp.types import UserError

if TYPE_CHECKING:
    from privacy_exp.study.study import Measures, Part, Study


def asked_for(
    study: "Study",
    masking: "Part",
    inpainting: "Part",
    mask_ratio: float,
    measures: Mapping[str, "Measures"],
    image_format: str,
    layout: str,
    rerun: bool,
    changes: Mapping[str, Any],
) -> Job:
    """A run, nothing of which is computed; see `Study.run` for the arguments.

    Its folder is named by what was asked and a digest of all its settings, so that runs never meet in one folder.

    Raises:
        UserError: a value out of range, a name that is not known, or two measures of one name.
    """
    number = isinstance(mask_ratio, int | float) and not isinstance(mask_ratio, bool)
    if not number or not 0 <= mask_ratio <= 1:
        raise UserError(f"`mask_ratio` must be a number in [0, 1], but got {mask_ratio!r}.")
    if image_format not in FORMATS:
        raise UserError(f"`image_format` must be one of {', '.join(sorted(FORMATS))}, but got {image_format!r}.")
    if layout not in LAYOUTS:
        raise UserError(f"`layout` must be one of {', '.join(LAYOUTS)}, but got {layout!r}.")
    if changes and not isinstance(inpainting, str):
        raise UserError(f"{', '.join(changes)} change a yaml's keys, but `inpainting` is an object: give it them.")
    masker, inpainter = part("masking", masking), part("inpainting", inpainting, **changes)
    if not isinstance(masker, Masker | OwnArea):
        raise UserError(f"`masking` must be a masking method or the stem of its yaml, but got {masker!r}.")
    if not isinstance(inpainter, Inpainter):
        raise UserError(f"`inpainting` must be an inpainter or the stem of its yaml, but got {inpainter!r}.")
    asked, masker = masker, implied(masker, inpainter)
    chosen = {group: named(group, measures[group]) for group in MEASURES}
    config = {
        "data": description(study.data),
        "recognition": study.recognition(),
        "masking": description(masker),
        "inpainting": description(inpainter),
        "trainer": study.trainer_keywords,
        **{group: {name: description(one) for name, one in own.items()} for group, own in chosen.items()},
        **{"mask_ratio": mask_ratio, "seed": study.seed, "image_format": image_format, "batch_size": 16},
        "evaluation": {"gate": 0.8, "batch_size": 32},
    }
    choices: dict[str, Any] = {"data": stem_of(study.data), "recognition": stem_of(study.recognizer)}
    choices |= {
        "masking": stem_of(masker, masking if masker is asked else None),
        "inpainting": stem_of(inpainter, inpainting),
    }
    choices |= {group: list(own) for group, own in chosen.items()}
    ratio = "" if isinstance(masker, OwnArea) else f"-{mask_ratio:g}"
    name = f"{choices['masking']}-{choices['inpainting']}{ratio}-s{study.seed}-{content_key(scientific(config))[:8]}"
    config["layout"] = layout  # behind the name: the run is the same
    place = Place(study.out / name, name, study.out.name, choices, rerun=rerun)
    every = {f"{group}/{name}": one for group, own in chosen.items() for name, one in own.items()}
    job = Job(study, masker, inpainter, every, config, place)
    if masker is not asked:
        job.warn(IMPLIED)
    return job


def named(group: str, asked: "Measures") -> dict[str, Measure]:
    """The measures of a group by name; those of a dict keep the names it gives them.

    Args:
        group: "judge", "attacker" or "utility".
        asked: objects or stems, or a dict of them.

    Raises:
        UserError: what is no measure, a stem that is not known, or two measures of one name.
    """
    if isinstance(asked, Mapping):
        pairs = [(name, _built(group, one)) for name, one in asked.items()]
    else:
        every = [asked] if isinstance(asked, str) else asked
        pairs = [(None, _built(group, one)) for one in every]
    found: dict[str, Measure] = {}
    for name, built in pairs:
        for stem, one in built.items():
            own = stem if name is None else name
            if own in found:
                raise UserError(f"`{group}` holds two measures called {own}: give a dict, {{name: measure, ...}}.")
            if not isinstance(one, Measure):
                raise UserError(f"`{group}` takes measures or stems of conf/{group}, but got {one!r}.")
            found[own] = one
    return found


def _built(group: str, asked: "Part") -> dict[str, Any]:
    """What a stem names, which may be several measures, or the one object that was given."""
    made = part(group, asked)
    return made if isinstance(made, dict) else {stem_of(made): made}


def stem_of(part: Any, asked: Any = None) -> str:
    """The name a part goes by: the stem it was asked for by, or its class's name in small letters."""
    if isinstance(asked, str):
        return asked
    name = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", type(part).__name__)
    return re.sub(r"(?<=[A-Z])(?=[A-Z][a-z])", "_", name).lower()
