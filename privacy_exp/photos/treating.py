"""From whole photos to whole photos: find, align, mask, repaint in batches across photos, paste back, look again."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from jaxtyping import UInt8
from torch import Tensor

from privacy_exp.inpainting.base import Inpainter
from privacy_exp.masking.base import Masker, OwnArea
from privacy_exp.masking.nothing import Nothing
from privacy_exp.masking.original_frame import OriginalMethod
from privacy_exp.photos.crops import CELEBA_SIZE, Matrix, cut, frame_points, paste, placement, territories
from privacy_exp.photos.finding import FaceFinder, Found, MTCNNFinder, overlap
from privacy_exp.photos.keeping import KnownPeople, check_regions, check_room, masks_that_keep, open_regions
from privacy_exp.photos.looking import Watcher, cosines
from privacy_exp.photos.whole import changed_share, check_asks_little, is_treated, whole_tool
from privacy_exp.recognition.base import Recognizer
from privacy_exp.types import Faces, UserError

Pixels = UInt8[np.ndarray, "_ _ 3"]

LADDER = (0.25, 0.35, 0.45, 0.6, 0.8, 1.0)
"""Shares of the crop that are tried one after the other on a face that is still recognised."""


@dataclass
class Face:
    """A face of a photo, and what became of it.

    Attributes:
        found: where it was, and how sure the detector was.
        treated: whether it was masked and repainted.
        kept: why it was left alone, or None.
        like: how alike it is to the nearest face of `keep_people`; None where nobody is kept.
        share: hidden pixels / all pixels of its crop.
        tries: how often it was repainted.
        similarity: of original and result, by observer.
        recognised_by: observers that still take it for the same person.
        found_after: whether the detector finds a face there in the result.
    """

    found: Found
    treated: bool = False
    kept: str | None = None
    like: float | None = None
    share: float = 0.0
    tries: int = 0
    similarity: dict[str, float] = field(default_factory=dict)
    recognised_by: list[str] = field(default_factory=list)
    found_after: bool = False


@dataclass
class Treated:
    """A photo after treatment.

    Attributes:
        pixels: RGB.
        faces: all that were found, the largest first.
        appeared: faces that the detector finds in the result alone.
        touched: which pixels may have changed.
    """

    pixels: Pixels
    faces: list[Face]
    appeared: list[Found]
    touched: np.ndarray

    @property
    def changed(self) -> bool:
        """Whether a pixel may have changed."""
        return bool(self.touched.any())


@dataclass
class _Job:
    """A face on its way: where it lies, and its crop before and after."""

    photo: int
    face: Face
    name: str
    matrix: Matrix
    crop: Tensor
    ratio: float = 0.0
    room: float = 1.0  # share of the crop that may be hidden
    result: Tensor | None = None
    mask: Tensor | None = None
    before: dict[str, np.ndarray] = field(default_factory=dict)  # embeddings of the original, by observer


@dataclass(frozen=True)
class LookingAgain:
    """Who looks at results, and what follows from it.

    Attributes:
        watchers: observers that look.
        until: "once" paints each face once; "unrecognised" paints again what is recognised, with a larger share.
        tries: most paintings of a face.
    """

    watchers: tuple[Watcher, ...] = ()
    until: str = "once"
    tries: int = 5

    def __post_init__(self) -> None:
        if self.until not in ("once", "unrecognised"):
            raise UserError(f"`until` must be once or unrecognised, but got {self.until!r}.")
        if self.until == "unrecognised" and not self.watchers:
            raise UserError("`until=unrecognised` needs somebody who looks: choose a judge, such as judge=[dlib].")
        if not isinstance(self.tries, int) or isinstance(self.tries, bool) or self.tries < 1:
            raise UserError(f"`tries` must be a whole number of at least 1, but got {self.tries!r}.")


class PhotoAnonymizer:
    """Anonymises every face of whole photos.

    Args:
        masker: decides what of each aligned crop is hidden.
        inpainter: repaints it.
        mask_ratio: share of the crop to hide at the first try.
        finder: finds faces; None takes MTCNN.
        looking: who looks at results.
        keep: regions that no mask may hide: "eyes", "nose", "mouth".
        people: whose faces stay as they are.
        recognizer: explained by guided methods.
        seed: of masks and noise.
        size: (height, width) of the crops, in pixels; CelebA's template lies in them.
    """

    def __init__(
        self,
        masker: Masker | OwnArea,
        inpainter: Inpainter,
        mask_ratio: float = 0.35,
        finder: FaceFinder | None = None,
        looking: LookingAgain | None = None,
        keep: Sequence[str] = (),
        people: KnownPeople | None = None,
        recognizer: Recognizer | None = None,
        seed: int = 0,
        size: tuple[int, int] = CELEBA_SIZE,
    ) -> None:
        check_regions(keep)
        if keep and isinstance(masker, OwnArea):
            raise UserError(f"`keep` needs a method that ranks pixels, not {type(masker).__name__}.")
        self.masker, self.inpainter, self.mask_ratio = masker, inpainter, mask_ratio
        self.finder = MTCNNFinder() if finder is None else finder
        self.looking = LookingAgain() if looking is None else looking
        self.keep, self.people, self.recognizer = tuple(keep), people, recognizer
        if recognizer is not None:
            inpainter.meet(recognizer)
        self.seed, self.size = seed, size
        self.whole = whole_tool(inpainter, bool(keep or people or self.looking.until != "once"))
        if recognizer is not None:
            recognizer.meet_frames(*size, frame_points(size))
        if isinstance(masker, Masker):
            middle = Faces(["frame"], torch.zeros(1, 3, *size), None, frame_points(size)[None])
            check_room(mask_ratio, self._rooms(masker, middle)[0], keep)
        if isinstance(masker, OriginalMethod):
            raise UserError(f"{type(masker).__name__} cuts frames of its own, which can't be pasted back into a photo.")
        check_asks_little(inpainter)

    def __call__(self, names: Sequence[str], photos: Sequence[Pixels], found: Sequence[list[Found]]) -> list[Treated]:
        """Treats photos together: the faces of all of them are painted in one batch.

        Args:
            names: one per photo; with the seed they decide masks and noise.
            photos: RGB, upright.
            found: the faces of each, as `finder.find` gives them.
        """
        faces = [[Face(one) for one in own] for own in found]
        jobs = self._jobs(names, photos, faces)
        results = [photo.copy() for photo in photos] if self.whole is None else self.whole.photos(names, photos)
        touched = [(old != new).any(2) for old, new in zip(photos, results, strict=True)]
        if self.whole is not None:
            for job in jobs:
                job.face.treated = is_treated(touched[job.photo], job.face.found.box)
                job.face.tries = int(job.face.treated)
                job.face.share = changed_share(touched[job.photo], job.matrix, self.size)
            self._look(jobs, results)
        pending = jobs if self.whole is None else []
        for attempt in range(self.looking.tries):
            if not pending:
                break
            self._paint(pending, attempt)
            for index in {job.photo for job in pending}:
                results[index], touched[index] = self._pasted(photos[index], [j for j in jobs if j.photo == index])
            self._look(pending, results)
            pending = self._again(pending)
        appeared = [self._after(result, own) for result, own in zip(results, faces, strict=True)]
        return [Treated(*one) for one in zip(results, faces, appeared, touched, strict=True)]

    def _jobs(self, names: Sequence[str], photos: Sequence[Pixels], faces: list[list[Face]]) -> list[_Job]:
        jobs = []
        for index, (name, pixels, own) in enumerate(zip(names, photos, faces, strict=True)):
            for number, face in enumerate(own):
                matrix = placement(face.found.landmarks, self.size)
                crop = cut(pixels, matrix, self.size)
                jobs.append(_Job(index, face, f"{name}#{number}", matrix, crop))
        if self.people is not None and jobs:
            for job, (photo, alike) in zip(jobs, self.people.nearest(torch.stack([j.crop for j in jobs])), strict=True):
                job.face.like = round(alike, 4)
                if alike >= self.people.watcher.strict:
                    job.face.kept = f"like {photo} ({self.people.watcher.name} {alike:.2f})"
        if isinstance(self.masker, Nothing):
            return []
        jobs = [job for job in jobs if job.face.kept is None]
        if isinstance(self.masker, Masker) and jobs:
            for job, room in zip(jobs, self._rooms(self.masker, _faces(jobs)), strict=True):
                job.room, job.ratio = room, min(self.mask_ratio, room)
        return jobs

    def _rooms(self, masker: Masker, faces: Faces) -> list[float]:
        """Share of each crop that may be hidden."""
        return [float(one.double().mean()) for one in open_regions(masker, faces, self.keep, self.recognizer)]

    def _paint(self, jobs: list[_Job], attempt: int) -> None:
        by_ratio: dict[float, list[_Job]] = {}
        for job in jobs:
            by_ratio.setdefault(job.ratio, []).append(job)
        for ratio, own in by_ratio.items():
            seed = self.seed + 1000 * attempt  # new noise at every try
            faces = _faces(own)
            masks = self._masks(faces, ratio, seed)
            painted = self.inpainter(faces, masks, seed)
            for job, mask, result in zip(own, masks, painted, strict=True):
                job.mask, job.result = mask, result
                job.face.treated, job.face.tries = True, attempt + 1
                job.face.share = float(mask.float().mean())

    def _masks(self, faces: Faces, ratio: float, seed: int) -> Tensor:
        if isinstance(self.masker, OwnArea):
            return self.masker.mask(faces, self.recognizer, seed=seed)
        if self.keep:
            scores = self.masker.rank(faces, self.recognizer, seed)
            return masks_that_keep(self.masker, faces, scores, ratio, seed, self.keep, self.recognizer)
        return self.masker.mask(faces, self.recognizer, mask_ratio=ratio, seed=seed)

    def _pasted(self, photo: Pixels, jobs: list[_Job]) -> tuple[Pixels, np.ndarray]:
        result, touched = photo.copy(), np.zeros(photo.shape[:2], bool)
        own = territories([job.matrix for job in jobs], self.size, photo.shape[:2])
        for job, territory in zip(jobs, own, strict=True):
            if job.result is not None and job.mask is not None:
                touched |= paste(result, job.result, job.mask, job.matrix, territory)
        return result, touched

    def _look(self, jobs: list[_Job], results: list[Pixels]) -> None:
        """Observers compare each face as it was with the same place of the photo as it will be saved."""
        if not self.looking.watchers:
            return
        after = torch.stack([cut(results[job.photo], job.matrix, self.size) for job in jobs])
        for job in jobs:
            job.face.recognised_by = []
        for watcher in self.looking.watchers:
            if new := [job for job in jobs if watcher.name not in job.before]:
                for job, vector in zip(new, watcher.embed(torch.stack([j.crop for j in new])), strict=True):
                    job.before[watcher.name] = vector
            before = np.stack([job.before[watcher.name] for job in jobs])
            for job, alike in zip(jobs, cosines(before, watcher.embed(after)), strict=True):
                job.face.similarity[watcher.name] = float(alike)
                if alike >= watcher.threshold:
                    job.face.recognised_by.append(watcher.name)

    def _again(self, jobs: list[_Job]) -> list[_Job]:
        """Those that are painted again, with the ladder's next share."""
        if self.looking.until == "once" or isinstance(self.masker, OwnArea):
            return []
        again = [job for job in jobs if job.face.recognised_by]
        for job in again:
            larger = [share for share in LADDER if share > job.ratio + 1e-9]
            job.ratio = min(larger[0] if larger else 1.0, job.room)
        return again

    def _after(self, result: Pixels, faces: list[Face]) -> list[Found]:
        if not any(face.treated for face in faces):
            return []
        seen = self.finder.find(result)
        for face in faces:
            face.found_after = any(overlap(face.found.box, one.box) >= 0.3 for one in seen)
        return [one for one in seen if all(overlap(face.found.box, one.box) < 0.1 for face in faces)]


def _moved(job: _Job) -> Tensor:
    points = torch.from_numpy(job.face.found.landmarks).float()
    return points @ job.matrix[:, :2].T + job.matrix[:, 2]


def _faces(jobs: Sequence[_Job]) -> Faces:
    points = torch.stack([_moved(job) for job in jobs])
    return Faces([job.name for job in jobs], torch.stack([job.crop for job in jobs]), None, points)
