"""What is left alone: regions of the five points in every mask, and faces of people whom the user names."""

import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from privacy_exp.data.seeds import generator
from privacy_exp.masking.base import Masker
from privacy_exp.masking.budget import hide
from privacy_exp.photos.crops import cut, placement
from privacy_exp.photos.files import UnreadablePhotoError, list_photos, read_photo
from privacy_exp.photos.finding import FaceFinder
from privacy_exp.photos.looking import Watcher
from privacy_exp.types import Faces, Masks, Scores, UserError

REGIONS = {"eyes": ((0,), (1,)), "nose": ((2,),), "mouth": ((3, 4),)}
"""Points that each region lies around; a region around two points also covers what lies between them."""

REACH = {"eyes": 0.32, "nose": 0.28, "mouth": 0.25}
"""How far a region reaches beyond its points, in inter-ocular distances."""


def check_regions(names: Sequence[str]) -> None:
    """Refuses regions that are not known.

    Raises:
        UserError: names what may be kept.
    """
    if isinstance(names, str):
        raise UserError(f"`keep` takes a list, keep=[{names}], but got {names!r}.")
    if wrong := [name for name in names if name not in REGIONS]:
        raise UserError(f"`keep` may hold {', '.join(REGIONS)}, but got {wrong[0]!r}.")


def kept_region(names: Sequence[str], landmarks: Float[Tensor, "5 2"], height: int, width: int) -> Bool[Tensor, "h w"]:
    """The pixels of a crop that no mask may hide.

    Args:
        names: some of "eyes", "nose" and "mouth".
        landmarks: five points, in pixels of the crop.
        height: of the crop, in pixels.
        width: of the crop, in pixels.
    """
    y, x = torch.meshgrid(torch.arange(height).float(), torch.arange(width).float(), indexing="ij")
    apart = float((landmarks[1] - landmarks[0]).norm())
    kept = torch.zeros(height, width, dtype=torch.bool)
    for name in names:
        for group in REGIONS[name]:
            a, b = landmarks[group[0]], landmarks[group[-1]]
            along = b - a
            length = float(along.square().sum())
            t = ((x - a[0]) * along[0] + (y - a[1]) * along[1]) / max(length, 1e-9)
            t = t.clamp(0, 1) if length > 0 else torch.zeros_like(x)
            distance = torch.hypot(x - a[0] - t * along[0], y - a[1] - t * along[1])
            kept |= distance <= REACH[name] * apart
    return kept


def open_regions(
    masker: Masker, faces: Faces, names: Sequence[str], recognizer: nn.Module | None = None
) -> list[Bool[Tensor, "h w"]]:
    """Where each crop may be hidden: in the method's own region, and outside the kept ones.

    Args:
        masker: a ranked method.
        faces: crops, with landmarks.
        names: regions to keep.
        recognizer: needed for `region: seen` alone.
    """
    assert faces.landmarks is not None  # noqa: S101  crops of found faces have landmarks
    height, width = faces.images.shape[-2:]
    kept = [kept_region(names, points.cpu(), height, width) for points in faces.landmarks]
    own = masker.allowed(faces, recognizer)
    return [~a if b is None else ~a & b.cpu() for a, b in zip(kept, own, strict=True)]


def masks_that_keep(
    masker: Masker,
    faces: Faces,
    scores: Scores,
    mask_ratio: float,
    seed: int,
    names: Sequence[str],
    recognizer: nn.Module | None = None,
) -> Masks:
    """The method's masks at exactly the asked area, with the kept regions left out: the budget moves elsewhere.

    Args:
        masker: a ranked method.
        faces: crops, with landmarks.
        scores: the method's, higher = hide first.
        mask_ratio: hidden pixels / all pixels of the crop.
        seed: decides the order of ties.
        names: regions to keep.
        recognizer: needed for `region: seen` alone.

    Raises:
        UserError: the budget is more than what is left.
    """
    masks = []
    for i, allowed in enumerate(open_regions(masker, faces, names, recognizer)):
        check_room(mask_ratio, float(allowed.double().mean()), names)
        ties = generator(seed, faces.ids[i], "ties")
        masks.append(hide(scores[i, 0], mask_ratio, masker.granularity, allowed, ties))
    return torch.stack(masks)[:, None].to(faces.images.device)


def check_room(mask_ratio: float, room: float, names: Sequence[str]) -> None:
    """Refuses a budget that is more than what is left of a crop.

    Raises:
        UserError: names the share that is left.
    """
    if mask_ratio > room:
        kept = f"keep={list(names)}" if names else "the method's region"
        raise UserError(
            f"`mask_ratio` {mask_ratio:g} is more than the {math.floor(room * 1000) / 1000:g} of the crop that "
            f"{kept} leaves; lower it, or keep less."
        )


class KnownPeople:
    """Faces of people who are to stay as they are, as one observer sees them.

    Args:
        folder: photos of them; the largest face of each counts.
        watcher: says how alike two faces are.
        finder: finds their faces.
        size: (height, width) of the crops it compares.

    Raises:
        UserError: no such folder, or no face in it.
    """

    def __init__(self, folder: Path, watcher: Watcher, finder: FaceFinder, size: tuple[int, int]) -> None:
        if not folder.is_dir():
            raise UserError(f"`keep_people` must be a folder with photos of people to keep, but there is no {folder}.")
        self.watcher, self.names = watcher, list[str]()
        self.left_out: list[str] = []
        crops = []
        for name in list_photos(folder)[0]:
            try:
                pixels = read_photo(folder / name).pixels
            except UnreadablePhotoError as error:
                self.left_out.append(str(error))
                continue
            if found := finder.find(pixels):
                crops.append(cut(pixels, placement(found[0].landmarks, size), size))
                self.names.append(name)
            else:
                self.left_out.append(f"{name}: no face found")
        if not crops:
            raise UserError(f"`keep_people` {folder} shows no face, so nobody could be kept.")
        self.gallery = watcher.embed(torch.stack(crops))

    def nearest(self, crops: Float[Tensor, "n 3 h w"]) -> list[tuple[str, float]]:
        """For each face the photo of a known person that it is most like, and the cosine similarity."""
        alike = self.watcher.embed(crops) @ self.gallery.T
        best = np.nan_to_num(alike, nan=-1.0).argmax(1)
        return [(self.names[j], float(alike[i, j])) for i, j in enumerate(best)]
