"""What every data set offers: an index of photos, pixels on demand, and a split within each identity."""

import hashlib
import inspect
import logging
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, ClassVar

import numpy as np
import torch
from jaxtyping import Float, UInt8
from pytorch_lightning import LightningDataModule
from torch import Generator, Tensor
from torch.utils.data import DataLoader

from privacy_exp.cache.configured import Configured
from privacy_exp.data.checks import check_extras, check_index, common_size, summary
from privacy_exp.data.digest import Digests, fit_digest
from privacy_exp.data.identity_split import (
    PARTS,
    Split,
    check_fold,
    check_shares,
    limit_photos,
    split_identities,
)
from privacy_exp.data.keys import check_keys
from privacy_exp.data.manifest import read_manifest
from privacy_exp.data.order import SeededOrder
from privacy_exp.data.photo import BadDataError, BadImageError, Examined, Photo, people_of
from privacy_exp.data.points import celeba_template
from privacy_exp.data.selection import Selection
from privacy_exp.types import Faces

log = logging.getLogger(__name__)


class FaceData(Configured, LightningDataModule, ABC):
    """Photos of known people, split within each identity.

    A subclass implements `index` (all photos, no pixels) and `read` (one photo's pixels), overrides `examine` where a
    check can be cheaper than `read`, and passes the keys below on.

    Args:
        split: shares of train, validation and test within each identity; they sum to 1.
        split_seed: decides which photo goes where, and nothing else; independent of the order of files.
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
        skipped: what was left out, one line each.
        doubts: what is odd about the photos that take part, one line each; they are logged as warnings.
        alike: pairs of photos that look alike on two sides of the split, or under two people.

    Raises:
        BadDataError: from `setup()` if the data cannot be used; nothing has been written by then.
    """

    without_effect = frozenset({"num_workers"})
    made_of_checked_photos: ClassVar[bool] = False
    """Whether another data set's checks hold for its photos already."""
    domain: ClassVar[str] = "photos"
    """What the pictures are: "photos", or "drawn"; see `privacy_exp.inpainting.domain`."""

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
        check_keys(
            on_bad_image,
            max_identities=max_identities,
            min_images_per_identity=min_images_per_identity,
            max_test_images=max_test_images,
            batch_size=batch_size,
            num_workers=num_workers,
        )
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
        self.doubts: list[str] = []
        self.alike: list[tuple[Photo, Photo]] = []
        self._labels: dict[str, int] = {}
        self._indexed, self._digests = 0, Digests()

    @property
    def arguments(self) -> Mapping[str, Any]:
        """What its constructor was given, with the defaults of the keys that are passed on to `FaceData`."""
        passed_on = inspect.signature(FaceData.__init__).parameters.values()
        return {p.name: p.default for p in passed_on if p.kind is p.KEYWORD_ONLY} | dict(super().arguments)

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
        self._selection = Selection(self)
        self.skipped, self.doubts, self.alike = [], [], self._selection.alike
        indexed = sorted(self.index(), key=lambda photo: photo.id)
        self._indexed = len(indexed)
        split = self._choose(indexed)
        photos = dict(split.photos)
        if self.max_test_images is not None:
            photos["test"] = limit_photos(photos["test"], self.max_test_images, self.split_seed)
        self.skipped += split.left_out
        self.identities = split.identities
        self._labels = {identity: label for label, identity in enumerate(split.identities)}
        chosen = [photo for part in PARTS for photo in photos[part]]
        if not chosen:
            raise BadDataError(f"No readable photo is left ({len(self.skipped)} skipped). See `data.on_bad_image`.")
        self.image_size = common_size(chosen, self._selection.examined)
        if not self.made_of_checked_photos:
            self.doubts += check_extras(chosen, self.image_size) + self._selection.look_again(photos)
        self.photos = photos
        for line in self.doubts:
            log.warning("%s", line)

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
            chosen = self._selection.identities(photos)
            split = split_identities(chosen, self.split, self.split_seed, self.split_fold)
        if not unknown and len(split.identities) < 2:
            people = len({photo.identity for photo in photos})
            raise BadDataError(
                f"{type(self).__name__} needs at least 2 identities of {self.min_images_per_identity} or more photos, "
                f"but {len(split.identities)} of {people} qualify ({len(photos)} photos in all). Add people or photos, "
                "or lower data.min_images_per_identity." + "".join(f" Left out: {line}." for line in self.skipped[:1])
            )
        return split

    def _readable(self, photos: list[Photo]) -> list[Photo]:
        """The photos that pass `examine`, in the order of ids; what it found is kept."""
        return self._selection.readable(photos)

    def summary(self) -> str:
        """One line for terminal and record: how many photos and people take part, and what was left out."""
        self.setup()
        return summary(self.photos, self._indexed, self.identities, self.skipped)

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
        return Faces([photo.id for photo in photos], images, labels, landmarks, attributes, people_of(photos))

    def batches(self, part: str, batch_size: int | None = None) -> Iterator[Faces]:
        """The photos of a part in order, batch by batch.

        Args:
            part: "train", "val" or "test".
            batch_size: photos a batch; None takes the data's own.
        """
        yield from self.loader(part, batch_size)

    def train_dataloader(self, seed: int = 0) -> DataLoader[Any]:
        """Batches of the train part, each a `Faces`, in an order of each epoch's own; see `SeededOrder`."""
        return self.loader("train", seed=seed)

    def val_dataloader(self) -> DataLoader[Any]:
        """Batches of the val part in order."""
        return self.loader("val")

    def test_dataloader(self) -> DataLoader[Any]:
        """Batches of the test part in order, each a `Faces`."""
        return self.loader("test")

    def loader(self, part: str, batch_size: int | None = None, seed: int | None = None) -> DataLoader[Any]:
        """Batches of a part, each a `Faces`.

        Args:
            part: "train", "val" or "test".
            batch_size: photos per batch; None takes the data's own.
            seed: of an order that changes from epoch to epoch; None keeps the photos in the order of their ids.
        """
        if part not in PARTS:
            raise BadDataError(f"`part` must be one of {', '.join(PARTS)}, but got {part!r}.")
        self.setup()
        return DataLoader(
            self.photos[part],  # type: ignore[arg-type]  # a list is a data set: it has a length and items
            batch_size=batch_size or self.batch_size,
            sampler=None if seed is None else SeededOrder([photo.id for photo in self.photos[part]], seed),
            num_workers=self.num_workers,
            collate_fn=self.faces,
            persistent_workers=self.num_workers > 0,
            pin_memory=torch.cuda.is_available(),
            generator=Generator(),  # its own, for the processes' seeds: they must not move anybody else's numbers
        )

    def __getstate__(self) -> dict[str, Any]:
        """What loading processes receive: all but the trainer, which cannot travel."""
        return {**self.__dict__, "trainer": None}

    def template(self) -> Float[Tensor, "5 2"]:
        """Mean landmarks of the train photos in pixels, else CelebA's points scaled to the frame."""
        known = self.known_template()
        return celeba_template(*self.image_size) if known is None else known

    def known_template(self) -> Float[Tensor, "5 2"] | None:
        """Mean landmarks of the train photos (of the test photos where there are none) in pixels; None without any."""
        self.setup()
        points = [photo.landmarks for photo in self.photos["train"] or self.photos["test"] if photo.landmarks]
        return torch.tensor(points).double().mean(dim=0).float() if points else None

    def digest(self) -> str:
        """Hash of all that is known of the photos that take part, whatever their paths."""
        self.setup()
        return self._digests.of(self.photos, self.identities, self.image_size, self._selection.examined)

    def fit_digest(self) -> str:
        """Hash of what a fit sees: pixels and people of the train and validation photos."""
        self.setup()
        return fit_digest(self.photos, self.identities, self.image_size, self._selection.examined)
