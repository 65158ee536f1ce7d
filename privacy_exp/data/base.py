"""What every data set offers: an index of photos, pixels on demand, and a split within each identity."""

import hashlib
import json
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, UInt8
from pytorch_lightning import LightningDataModule
from torch import Tensor
from torch.utils.data import DataLoader

from privacy_exp.data.checks import check_extras, check_index, common_size, examine_all
from privacy_exp.data.identity_split import (
    PARTS,
    Split,
    by_identity,
    check_fold,
    check_shares,
    groups_of,
    limit_photos,
    read_manifest,
    required_parts,
    seeded_order,
    split_identities,
)
from privacy_exp.data.photo import BadDataError, BadImageError, Examined, Photo, safe_id
from privacy_exp.data.seeds import generator
from privacy_exp.types import Faces

__all__ = [
    "CELEBA_TEMPLATE",
    "BadDataError",
    "BadImageError",
    "Examined",
    "FaceData",
    "Photo",
    "celeba_template",
    "safe_id",
]

CELEBA_TEMPLATE = ((69.5, 111.0), (108.0, 111.0), (88.5, 134.5), (72.5, 152.5), (105.5, 152.5))
"""The five points that CelebA's 178x218 frames are aligned to, in pixels."""


class FaceData(LightningDataModule, ABC):
    """Photos of known people, split within each identity.

    A subclass implements `index` (all photos, no pixels) and `read` (one photo's pixels), overrides `examine` where a
    check can be cheaper than `read`, and passes the keys below on.

    Args:
        split: shares of train, validation and test within each identity; they sum to 1.
        split_seed: decides which photo goes where; independent of the order of files.
        split_fold: [i, n]: the i-th of n parts of each identity is tested, in place of the share in `split`; the folds
            0 to n - 1 test every photo once. None takes `split` as it is.
        max_identities: keep the first so many identities of a seeded order; None keeps all.
        min_images_per_identity: identities with fewer readable photos are left out and counted.
        max_test_images: keep so many test photos, spread evenly over identities; None keeps all.
        manifest: a `manifest.csv` that an earlier run wrote; it replaces `split`, `split_seed`, `split_fold`,
            `max_identities` and `min_images_per_identity`.
        on_bad_image: "error" stops at the first unreadable photo; "skip" leaves it out, counts and lists it.
        batch_size: photos a batch of the loaders.
        num_workers: loading processes; 0 loads in the main process.

    After `setup()`:
        image_size: (height, width) in pixels, the same for all photos.
        photos: {"train", "val", "test"} to lists of `Photo`, each in the order of ids.
        identities: label index to the data's own name of the identity; empty where identities are unknown.
        skipped: what was left out, a line each.

    Raises:
        BadDataError: from `setup()` if the data cannot be used; nothing has been written by then.
    """

    def __init__(
        self,
        *,
        split: Sequence[float] = (0.6, 0.2, 0.2),
        split_seed: int = 0,
        split_fold: Sequence[int] | None = None,
        max_identities: int | None = None,
        min_images_per_identity: int = 5,
        max_test_images: int | None = None,
        manifest: str | None = None,
        on_bad_image: str = "error",
        batch_size: int = 32,
        num_workers: int = 0,
    ) -> None:
        super().__init__()
        self.split = check_shares(split)
        if on_bad_image not in ("error", "skip"):
            raise BadDataError(f"`on_bad_image` must be 'error' or 'skip', but got {on_bad_image!r}.")
        least = {
            "max_identities": (max_identities, 2),
            "min_images_per_identity": (min_images_per_identity, 1),
            "max_test_images": (max_test_images, 1),
            "batch_size": (batch_size, 1),
            "num_workers": (num_workers, 0),
        }
        for name, (value, lowest) in least.items():
            if value is not None and value < lowest:
                raise BadDataError(f"`{name}` must be at least {lowest}, but got {value}.")
        self.split_seed = split_seed
        self.split_fold = check_fold(split_fold)
        self.max_identities = max_identities
        self.min_images_per_identity = min_images_per_identity
        self.max_test_images = max_test_images
        self.manifest = manifest
        self.on_bad_image = on_bad_image
        self.batch_size = batch_size
        self.num_workers = num_workers
        self.image_size: tuple[int, int] = (0, 0)
        self.photos: dict[str, list[Photo]] = {}
        self.identities: list[str] = []
        self.skipped: list[str] = []
        self._labels: dict[str, int] = {}
        self._examined: dict[str, Examined] = {}

    @abstractmethod
    def index(self) -> list[Photo]:
        """All photos of the data set, without their pixels, in any order."""

    @abstractmethod
    def read(self, photo: Photo) -> UInt8[np.ndarray, "h w 3"]:
        """One photo's pixels, RGB in 0-255, all photos of one size.

        Raises:
            BadImageError: the photo cannot be read.
        """

    def examine(self, photo: Photo) -> Examined:
        """Checks that a photo can be read; `setup` calls it once for each photo that takes part, from several threads.

        This one reads the pixels; override it where the same can be known for less.

        Raises:
            BadImageError: the photo cannot be read.
        """
        pixels = self.read(photo)
        return Examined(hashlib.sha256(pixels.tobytes()).hexdigest(), (pixels.shape[0], pixels.shape[1]))

    def setup(self, stage: str | None = None) -> None:
        """Indexes, checks and splits the photos; a second call does nothing.

        Raises:
            BadDataError: the data cannot be used; the message says what is wrong and what to do.
        """
        del stage  # all parts are set up at once
        if self.photos:
            return
        self.skipped, self._examined = [], {}
        split = self._choose(sorted(self.index(), key=lambda photo: photo.id))
        photos = dict(split.photos)
        if self.max_test_images is not None:
            photos["test"] = limit_photos(photos["test"], self.max_test_images, self.split_seed)
        self.skipped += split.left_out
        self.identities = split.identities
        self._labels = {identity: label for label, identity in enumerate(split.identities)}
        chosen = [photo for part in PARTS for photo in photos[part]]
        if not chosen:
            raise BadDataError(f"No readable photo is left ({len(self.skipped)} skipped). See `data.on_bad_image`.")
        self.image_size = common_size(chosen, self._examined)
        check_extras(chosen)
        self.photos = photos

    def _choose(self, photos: list[Photo]) -> Split:
        """The photos that take part and where they go."""
        check_index(photos, type(self).__name__)
        unknown = photos[0].identity is None
        if self.manifest is not None:
            split = read_manifest(self.manifest, photos)
            kept = {photo.id for photo in self._readable([p for part in PARTS for p in split.photos[part]])}
            split = split._replace(photos={part: [p for p in split.photos[part] if p.id in kept] for part in PARTS})
        elif unknown:
            split = Split({"train": [], "val": [], "test": self._readable(photos)}, [], [])
        else:
            split = split_identities(self._chosen_identities(photos), self.split, self.split_seed, self.split_fold)
        if not unknown and len(split.identities) < 2:
            people = len({photo.identity for photo in photos})
            raise BadDataError(
                f"{type(self).__name__} needs at least 2 identities of {self.min_images_per_identity} or more photos, "
                f"but {len(split.identities)} of {people} qualify ({len(photos)} photos in all). Add people or photos, "
                "or lower data.min_images_per_identity." + "".join(f" Left out: {line}." for line in self.skipped[:1])
            )
        return split

    def _chosen_identities(self, photos: list[Photo]) -> list[Photo]:
        """Photos of the identities that have enough, in a seeded order until there are `max_identities`."""
        people = {name: own for name, own in by_identity(photos).items() if self._enough(name, own)}
        waiting = seeded_order(people, self.split_seed, "identities")
        limit = len(waiting) if self.max_identities is None else self.max_identities
        kept: dict[str, list[Photo]] = {}
        while waiting and len(kept) < limit:
            take = limit - len(kept)
            now, waiting = waiting[:take], waiting[take:]
            readable = by_identity(self._readable([photo for name in now for photo in people[name]]))
            for name in now:
                own = readable.get(name, [])
                if len(own) == len(people[name]) or self._enough(name, own):
                    kept[name] = own
        return [photo for own in kept.values() for photo in own]

    def _enough(self, identity: str, photos: Sequence[Photo]) -> bool:
        """Whether an identity can be split; if not it is listed in `skipped`."""
        groups, needed = len(groups_of(photos)), len(required_parts(self.split))
        if self.split_fold is not None:
            needed = max(needed, self.split_fold[1])  # each fold tests at least one
        if len(photos) < self.min_images_per_identity:
            self.skipped.append(f"identity {identity!r}: {len(photos)} photos, {self.min_images_per_identity} needed")
        elif groups < needed:
            self.skipped.append(f"identity {identity!r}: {groups} group of photos, {needed} needed to split it")
        else:
            return True
        return False

    def _readable(self, photos: list[Photo]) -> list[Photo]:
        """The photos that pass `examine`, in the order of ids; what it found is kept."""
        good = []
        for photo, found in examine_all(sorted(photos, key=lambda photo: photo.id), self.examine):
            if isinstance(found, Examined):
                self._examined[photo.id] = found
                good.append(photo)
            elif self.on_bad_image == "skip":
                self.skipped.append(str(found))
            else:
                raise found
        return good

    def faces(self, photos: Sequence[Photo]) -> Faces:
        """Reads photos into one batch.

        Raises:
            BadImageError: a photo cannot be read, or has another size than `image_size`.
        """
        self.setup()
        pixels = [self.read(photo) for photo in photos]
        for photo, image in zip(photos, pixels, strict=True):
            if image.shape[:2] != self.image_size:
                raise BadImageError(
                    f"{photo.id} has become {image.shape[:2]} (height, width) since the data was checked; it was "
                    f"{self.image_size}. Leave the files alone during a run."
                )
        images = torch.from_numpy(np.stack(pixels)).permute(0, 3, 1, 2).contiguous().float().div_(255)
        labels, landmarks, attributes = None, None, None
        if all(photo.identity in self._labels for photo in photos):
            labels = torch.tensor([self._labels[str(photo.identity)] for photo in photos])
        if all(photo.landmarks is not None for photo in photos):
            landmarks = torch.tensor([photo.landmarks for photo in photos])
        rows = [photo.attributes for photo in photos if photo.attributes is not None]
        if len(rows) == len(photos):
            attributes = {name: torch.tensor([bool(row[name]) for row in rows]) for name in rows[0]}
        return Faces([photo.id for photo in photos], images, labels, landmarks, attributes)

    def batches(self, part: str, batch_size: int | None = None) -> Iterator[Faces]:
        """The photos of a part in order, batch by batch.

        Args:
            part: "train", "val" or "test".
            batch_size: photos a batch; None takes the data's own.
        """
        yield from self._loader(part, batch_size or self.batch_size, shuffle=False)

    def train_dataloader(self) -> DataLoader[Any]:
        """Shuffled batches of the train part, each a `Faces`; the order depends on `split_seed` alone."""
        return self._loader("train", self.batch_size, shuffle=True)

    def val_dataloader(self) -> DataLoader[Any]:
        """Batches of the val part in order, each a `Faces`."""
        return self._loader("val", self.batch_size, shuffle=False)

    def test_dataloader(self) -> DataLoader[Any]:
        """Batches of the test part in order, each a `Faces`."""
        return self._loader("test", self.batch_size, shuffle=False)

    def _loader(self, part: str, batch_size: int, *, shuffle: bool) -> DataLoader[Any]:
        if part not in PARTS:
            raise BadDataError(f"`part` must be one of {', '.join(PARTS)}, but got {part!r}.")
        self.setup()
        return DataLoader(
            self.photos[part],  # type: ignore[arg-type]  # a list is a data set: it has a length and items
            batch_size=batch_size,
            shuffle=shuffle,
            num_workers=self.num_workers,
            collate_fn=self.faces,
            persistent_workers=self.num_workers > 0,
            pin_memory=torch.cuda.is_available(),
            generator=generator(self.split_seed, "loader", part),
        )

    def __getstate__(self) -> dict[str, Any]:
        """What loading processes receive: all but the trainer, which cannot travel."""
        return {**self.__dict__, "trainer": None}

    def template(self) -> Float[Tensor, "5 2"]:
        """Mean landmarks of the train photos in pixels, else CelebA's points scaled to the frame."""
        self.setup()
        points = [photo.landmarks for photo in self.photos["train"] or self.photos["test"] if photo.landmarks]
        if points:
            return torch.tensor(points).double().mean(dim=0).float()
        return celeba_template(*self.image_size)

    def digest(self, parts: Sequence[str] = PARTS) -> str:
        """Hash of the split, the labels, landmarks, attributes, the photos' content and size; independent of paths.

        Args:
            parts: that count.
        """
        self.setup()
        first = next(photo for part in PARTS for photo in self.photos[part])
        names = sorted(first.attributes or ())
        total = hashlib.sha256(json.dumps([self.identities, self.image_size, names]).encode())
        for part in parts:
            for p in self.photos[part]:
                known = None if p.attributes is None else [int(p.attributes[name]) for name in names]
                row = (part, p.id, p.identity, self._examined[p.id].content, p.landmarks, p.group, known)
                total.update(json.dumps(row).encode())
        return total.hexdigest()


def celeba_template(height: int, width: int) -> Float[Tensor, "5 2"]:
    """CelebA's five points scaled to a frame, in pixels: the guess where nothing better is known."""
    return torch.tensor(CELEBA_TEMPLATE) * torch.tensor([width / 178, height / 218])
