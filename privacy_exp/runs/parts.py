"""Which parts made a figure: their licence, where they come from, and whether they may be used commercially."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import yaml

UNKNOWN = "unknown"
OWN = ("Apache-2.0", "this package", "yes")
RESEARCH = "no: research only"
OPEN_RAIL = "yes, within its use restrictions"

LICENCES = {
    "data/celeba": ("non-commercial research", "CelebA, MMLAB", RESEARCH),
    "data/synthetic": OWN,
    "data/synthetic_training": OWN,
    "recognition/facenet_vggface2": ("MIT code; VGGFace2 photos", "facenet-pytorch", RESEARCH),
    "recognition/facenet_casia": ("MIT code; CASIA-WebFace photos", "facenet-pytorch", RESEARCH),
    "judge/facenet_vggface2": ("MIT code; VGGFace2 photos", "facenet-pytorch", RESEARCH),
    "judge/facenet_casia": ("MIT code; CASIA-WebFace photos", "facenet-pytorch", RESEARCH),
    "judge/dlib": ("CC0-1.0", "dlib, by face-recognition-models", "yes"),
    "inpainting/faces": ("LicenseRef-CelebA-Research", "this package, trained on CelebA", RESEARCH),
    "inpainting/sd15": ("CreativeML OpenRAIL-M", "stable-diffusion-v1-5/stable-diffusion-inpainting", OPEN_RAIL),
    "inpainting/sd15_lcm": ("CreativeML OpenRAIL-M; LCM-LoRA OpenRAIL++", "stable-diffusion-v1-5", OPEN_RAIL),
    "inpainting/sd2": ("CreativeML OpenRAIL++-M", "stable-diffusion-2-inpainting", OPEN_RAIL),
    "inpainting/sdxl": ("CreativeML OpenRAIL++-M", "stable-diffusion-xl-1.0-inpainting-0.1", OPEN_RAIL),
    "inpainting/opencv_telea": ("Apache-2.0", "OpenCV", "yes"),
    "utility/detection": ("MIT", "MTCNN, by facenet-pytorch", "yes"),
}
"""Group and stem to licence, source and commercial use: what was known in November 2026. It is no legal advice."""

WITHOUT_WEIGHTS = {
    "inpainting": ("blackout", "blur", "identity", "k_same", "mean_fill", "pixelate"),
    "recognition": ("facenet_scratch", "original_scratch"),
    "judge": ("independent",),
    "utility": ("pixels", "same_face", "sanity"),
}
"""Parts that bring no weights of anybody: code of this package, fitted to the run's own data."""

GROUPS = ("data", "recognition", "inpainting", "judge", "utility")


class Licensed(NamedTuple):
    """One part of a run.

    Attributes:
        part: group and stem, such as "inpainting/sd15".
        licence: its name.
        source: where it comes from.
        commercial: whether it may be used commercially.
        digest: of its content, or its revision.
    """

    part: str
    licence: str = UNKNOWN
    source: str = UNKNOWN
    commercial: str = UNKNOWN
    digest: str = UNKNOWN


def parts_of(record: Mapping[str, Any]) -> list[Licensed]:
    """The parts behind a record's figures; what nobody wrote down is unknown, never guessed.

    Example:
        >>> [part] = parts_of({"choices": {"data": "celeba"}, "config": {}})
        >>> part.licence, part.commercial, part.digest
        ('non-commercial research', 'no: research only', 'unknown')
    """
    found = []
    for group in GROUPS:
        chosen = record["choices"].get(group)
        for stem in [chosen] if isinstance(chosen, str) else chosen or []:
            found.append(_part(group, str(stem), record))
    return found


def _part(group: str, stem: str, record: Mapping[str, Any]) -> Licensed:
    name = f"{group}/{stem}"
    known = OWN if stem in WITHOUT_WEIGHTS.get(group, ()) else LICENCES.get(name)
    config = record.get("config", {}).get(group)
    config = config if isinstance(config, Mapping) else {}
    digest = UNKNOWN
    if group == "data":
        digest = str(record.get("details", {}).get("data_digest", UNKNOWN))
    elif group == "recognition":
        digest = str(record.get("files", {}).get("recognizer.ckpt", UNKNOWN))
    elif group == "inpainting":
        digest = str(config.get("revision") or UNKNOWN)
        if known is None:
            known = from_card(str(config.get("checkpoint", "")))
    return Licensed(name, *(known or (UNKNOWN, UNKNOWN, UNKNOWN)), digest)


def from_card(checkpoint: str) -> tuple[str, str, str] | None:
    """What the model card of a folder says; None without one, or where it names no licence."""
    folder = Path(__file__).parents[2] / checkpoint if checkpoint.startswith("privacy_exp/") else Path(checkpoint)
    card = folder / "README.md"
    if not checkpoint or not card.is_file():
        return None
    _, _, rest = card.read_text(errors="replace").partition("---\n")
    try:
        head = yaml.safe_load(rest.partition("\n---")[0])
    except yaml.YAMLError:
        return None
    licence = head.get("license") if isinstance(head, Mapping) else None
    return None if licence is None else (str(licence), checkpoint, "yes" if str(licence) in FREE else UNKNOWN)


FREE = ("apache-2.0", "mit", "bsd-3-clause", "cc0-1.0")
"""Licences of model cards that allow commercial use without conditions on it."""
