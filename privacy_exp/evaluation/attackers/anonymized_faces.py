"""Pictures that a run made, as a data set: same people, same parts, other pixels."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import ClassVar, final

import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from privacy_exp.data.base import FaceData
from privacy_exp.data.files import examine_image, read_image
from privacy_exp.data.identity_split import PARTS, Split
from privacy_exp.data.photo import BadDataError, Examined, Photo
from privacy_exp.data.seeds import generator
from privacy_exp.runs.folder import RunFolder
from privacy_exp.runs.picture import Picture

GREY = 128
"""What a hidden pixel becomes where an attacker greys it, of 255."""


@final
class AnonymizedFaces(FaceData):
    """Another data set's photos as run folders show them: what an attacker learns from and is tried on.

    Parts, labels, landmarks and the order of photos are the source's, so that a fit on these pictures differs from one
    on the originals in nothing but pixels.

    Args:
        source: whose photos they are, after `setup()`.
        folders: part to the folder with its pictures; other parts are empty.
        kind: "results" or "original", the sub-folder that is read.
        grey_hidden: hidden pixels are grey, for an attacker who knows the mask.
        people: identities that take part; None takes all.
        shuffle: seed by which the training and validation photos change their identities; None leaves them.
    """

    made_of_checked_photos: ClassVar[bool] = True

    def __init__(
        self,
        source: FaceData,
        folders: Mapping[str, RunFolder],
        kind: str = "results",
        grey_hidden: bool = False,
        people: Sequence[str] | None = None,
        shuffle: int | None = None,
    ) -> None:
        super().__init__(split_seed=source.split_seed, batch_size=source.batch_size, num_workers=source.num_workers)
        self.source = source
        self.kind = kind
        self.grey_hidden = grey_hidden
        self.people = [name for name in source.identities if people is None or name in set(people)]
        self.shuffle = shuffle
        self._folders = dict(folders)
        self._pictures = {part: _paths(folder, kind) for part, folder in folders.items()}
        self._masks = {part: _paths(folder, "masks") for part, folder in folders.items()} if grey_hidden else {}
        self._parts = {photo.id: part for part in folders for photo in source.photos[part]}
        for part in folders:
            lost = [photo.id for photo in source.photos[part] if photo.id not in self._pictures[part]]
            if lost:
                raise BadDataError(
                    f"{folders[part].path} lacks {len(lost)} photos of {part}, such as {lost[0]}; delete the folder, "
                    "the next run makes it again."
                )

    def index(self) -> list[Photo]:
        """The source's photos of these parts and people, with shuffled identities where that was asked."""
        return [photo for part in PARTS for photo in self._part(part)]

    def read(self, photo: Photo) -> UInt8[np.ndarray, "h w 3"]:
        """The picture of a photo, hidden pixels greyed where that was asked."""
        part = self._parts[photo.id]
        pixels = read_image(self._pictures[part][photo.id])
        if self.grey_hidden:
            hidden = self._folders[part].read_masks([self._masks[part][photo.id]])[0, 0].numpy()
            pixels[hidden] = GREY
        return pixels

    def examine(self, photo: Photo) -> Examined:
        """Hash of the picture's bytes, and of the mask's where that is used; the size it is read at."""
        part = self._parts[photo.id]
        found = examine_image(self._pictures[part][photo.id])
        if not self.grey_hidden:
            return found
        both = found.content + examine_image(self._masks[part][photo.id]).content
        return found._replace(content=hashlib.sha256(both.encode()).hexdigest())

    def template(self) -> Float[Tensor, "5 2"]:
        """The source's: an attacker aligns as the recogniser does."""
        return self.source.template()

    def known_template(self) -> Float[Tensor, "5 2"] | None:
        """The source's."""
        return self.source.known_template()

    def _choose(self, photos: list[Photo]) -> Split:
        """The source's own split."""
        del photos
        return Split({part: self._readable(self._part(part)) for part in PARTS}, self.people, [])

    def _part(self, part: str) -> list[Photo]:
        if part not in self._folders:
            return []
        people = set(self.people)
        photos = [photo for photo in self.source.photos[part] if photo.identity in people]
        if self.shuffle is None or part == "test":
            return photos
        random = generator(self.shuffle, "shuffled labels", part)
        order = torch.randperm(len(photos), generator=random).tolist()
        return [replace(photo, identity=photos[i].identity) for photo, i in zip(photos, order, strict=True)]


def _paths(folder: RunFolder, kind: str) -> dict[str, Picture]:
    return {image_id: path for image_id, (path, _) in folder.list(kind).items()}
