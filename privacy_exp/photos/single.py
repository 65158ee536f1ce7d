"""One picture in, one picture out."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageOps

from privacy_exp.evaluation.judges.judge import Judge
from privacy_exp.inpainting.base import Inpainter
from privacy_exp.inpainting.domain import check_domain
from privacy_exp.masking.base import Masker, OwnArea
from privacy_exp.photos.finding import FaceFinder
from privacy_exp.photos.looking import Watcher, watcher
from privacy_exp.photos.treating import LookingAgain, PhotoAnonymizer
from privacy_exp.recognition.base import Recognizer
from privacy_exp.recognition.checkpoint import load_checkpoint
from privacy_exp.study.asked import named
from privacy_exp.study.implied import implied
from privacy_exp.study.stems import part
from privacy_exp.types import UserError


def anonymize(
    image: Image.Image,
    masking: str | Masker | OwnArea = "face_oval",
    inpainting: str | Inpainter = "mean_fill",
    *,
    mask_ratio: float = 0.35,
    judges: Sequence[str | Judge | Watcher] = (),
    until: str = "once",
    tries: int = 5,
    keep: Sequence[str] = (),
    recognizer: Recognizer | str | Path | None = None,
    detector: FaceFinder | None = None,
    seed: int = 0,
    **changes: Any,
) -> Image.Image:
    """Every face of a photo hidden and repainted; all other pixels stay as they are.

    Args:
        image: a whole photo, of any size; its EXIF orientation is applied.
        masking: a masking method, or the stem of its yaml.
        inpainting: an inpainter, or the stem of its yaml.
        mask_ratio: hidden pixels / all pixels of each face's aligned crop.
        judges: observers that say whether a result is still the same person, as stems ("dlib"), as objects with weights
            whose threshold has been measured, or as a `watcher` with a threshold of your own.
        until: "once" paints each face once; "unrecognised" paints again, with a larger share, what a judge recognises.
        tries: most paintings of a face.
        keep: regions that stay visible: "eyes", "nose", "mouth".
        recognizer: explained by guided methods: a fitted one, its checkpoint, or a run folder.
        detector: finds the faces; None takes MTCNN.
        seed: of masks and noise.
        changes: other values of the inpainting yaml's keys.

    Returns:
        The new picture, in RGB. Its `faces` tell what was found and what became of it: box and score (`face.found`),
        share hidden, similarity to the original by judge, and who still recognises it.

    Raises:
        UserError: a name or a value that cannot be used, or a painter that knows drawings alone.

    Example:
        >>> after = anonymize(Image.new("RGB", (64, 64)))
        >>> after.faces
        []
    """
    if not isinstance(image, Image.Image):
        raise UserError(f"`image` must be a PIL image, such as Image.open(FILE), but got {type(image).__name__}.")
    inpainter = part("inpainting", inpainting, **changes)
    check_domain(inpainter, "photos")
    known = recognizer if recognizer is None or isinstance(recognizer, Recognizer) else load_checkpoint(recognizer)
    treat = PhotoAnonymizer(
        implied(part("masking", masking), inpainter),
        inpainter,
        mask_ratio,
        finder=detector,
        looking=LookingAgain(_watchers(judges), until, tries),
        keep=keep,
        recognizer=known,
        seed=seed,
    )
    pixels = np.array(ImageOps.exif_transpose(image).convert("RGB"))
    (treated,) = treat(["photo"], [pixels], [treat.finder.find(pixels)])
    result = Image.fromarray(treated.pixels)
    result.faces = treated.faces  # type: ignore[attr-defined]
    return result


def _watchers(judges: Sequence[str | Judge | Watcher]) -> tuple[Watcher, ...]:
    if isinstance(judges, str):
        raise UserError(f"`judges` takes a list: judges=[{judges!r}].")
    trained = named("judge", [one for one in judges if not isinstance(one, Watcher)])
    made = [watcher(name, one.viewer.embedder) for name, one in trained.items() if isinstance(one, Judge)]
    return (*made, *(one for one in judges if isinstance(one, Watcher)))
