"""What every recogniser offers: logits over identities, unit embeddings, and a layer for attribution."""

import difflib
import hashlib
import json
import logging
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from contextlib import suppress
from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from privacy_exp.cache.configured import Configured
from privacy_exp.data.points import resized_points
from privacy_exp.recognition.alignment import inside, warp
from privacy_exp.recognition.layers import frozen_parts, last_map_layer
from privacy_exp.recognition.recipe import FitRecipe
from privacy_exp.types import Embeddings, Images, Labels, Logits, Scores, UserError

FREEZE = ("none", "early", "trunk", "weights")

ELSEWHERE = 0.1
"""A face whose points lie further from where they were learnt, as a share of the frame's side, is another crop."""

log = logging.getLogger(__name__)


class Recognizer(Configured, nn.Module, ABC):
    """Names people: pixels of the data in, logits over identities out.

    `FaceNet(image_size=80)` is a recogniser without people: it knows how it will be built, but holds no network yet.
    `for_people` gives one with a network and a head.

    A subclass builds its trunk and head where `num_classes` is given, implements `prepare`, which turns pixels of the
    data into what its trunk expects, and overrides `frame` where it moves them otherwise than `cover` does. Its last
    constructor arguments are `num_classes=None, template=None`. Everything is differentiable with respect to the
    pixels, frozen or not.

    Args:
        trunk: prepared images to features, n d; None without people.
        head: features to logits, n k; None without people.
        num_classes: k, the number of identities; None without people.
        image_size: side of the square the trunk sees, in pixels.
        freeze: "trunk" trains the head alone and leaves the trunk as it is, BatchNorm statistics included; "early"
            opens the trunk's last stage too: what follows its last map larger than 4×4; "weights" keeps the trunk's
            weights, but lets its BatchNorm statistics move and its dropout drop, as the original study did; "none"
            trains everything.

    Attributes:
        recipe: how it is trained unless the caller says otherwise.
        frame_size: (height, width) in pixels of the frames it was fitted on; None before a fit.
        points: where the five points lay in these frames on average, in pixels; None before a fit.
    """

    recipe: FitRecipe = FitRecipe()
    of_fit: ClassVar[frozenset[str]] = frozenset({"num_classes", "template"})
    """Constructor arguments that belong to a fit, not to the description of the recogniser."""

    aligns: bool = False
    """Whether it depends on where the five points lie in the frames."""

    prototypes: Tensor | None

    def __init__(
        self, trunk: nn.Module | None, head: nn.Module | None, num_classes: int | None, image_size: int, freeze: str
    ) -> None:
        super().__init__()
        if freeze not in FREEZE:
            raise UserError(f"`freeze` must be one of {', '.join(FREEZE)}, but got {freeze!r}.")
        if num_classes is not None and num_classes < 2:
            raise UserError(
                f"`num_classes` must be at least 2 to tell people apart, but got {num_classes}. Give data with more "
                "identities, or lower `data.min_images_per_identity`."
            )
        self._num_classes = num_classes
        self.image_size = image_size
        self.freeze = freeze
        self.target_layer_name = "auto"
        self.frame_size: tuple[int, int] | None = None
        self.points: Tensor | None = None
        self.register_buffer("prototypes", None, persistent=False)
        self._frozen: list[nn.Module] = []
        if trunk is None or head is None:
            return
        self.trunk = trunk
        self.head = head
        self._frozen = frozen_parts(trunk, freeze, image_size)
        for part in self._frozen:
            part.requires_grad_(False)
            part.eval()
        if freeze == "weights":
            trunk.requires_grad_(False)

    @property
    def arguments(self) -> Mapping[str, Any]:
        """What its constructor was given, with defaults and without what belongs to a fit."""
        return {name: value for name, value in super().arguments.items() if name not in self.of_fit}

    @property
    def fitted(self) -> dict[str, Any]:
        """What a fit adds to `arguments`: with both, the constructor gives the same network again."""
        return {name: value for name, value in super().arguments.items() if name in self.of_fit}

    @property
    def num_classes(self) -> int:
        """The number of identities.

        Raises:
            UserError: without people.
        """
        self._need_people()
        assert self._num_classes is not None  # noqa: S101  `_need_people` has refused it
        return self._num_classes

    def for_people(self, num_classes: int, template: Float[Tensor, "5 2"] | None = None) -> "Recognizer":
        """A fresh recogniser of the same arguments with a network and a head.

        Random weights come from torch's global generator: seeded alike, two calls give the same.

        Args:
            num_classes: the number of identities, at least 2.
            template: five points (x, y) of the data's frames, in pixels, for recognisers that align.
        """
        people: dict[str, Any] = {"num_classes": num_classes, "template": template}
        made = type(self)(**self.arguments, **people)
        made.load_start()
        return made

    def load_start(self) -> None:
        """Loads the weights that a fit starts from, where they are not random; a checkpoint has no need of them."""

    def _need_people(self) -> None:
        if self._num_classes is None:
            raise UserError(
                f"this {type(self).__name__} knows no people yet: fit it first (`Study(data, recognizer).fit()`), load "
                "a checkpoint, or call `for_people(num_classes, template)`."
            )

    @abstractmethod
    def prepare(self, images: Images) -> Float[Tensor, "n 3 s s"]:
        """Pixels in [0, 1] at the data's size to what the trunk expects; differentiable."""

    def frame(self, height: int, width: int) -> Float[Tensor, "2 3"]:
        """Takes pixel (x, y, 1) of a `height` x `width` frame of the data to its place in the prepared image."""
        return cover_frame(height, width, self.image_size)

    def fitted_on(self, height: int, width: int, points: Float[Tensor, "5 2"]) -> None:
        """Notes the frames of a fit: their size, and where the five points lay in them on average."""
        self.frame_size, self.points = (height, width), points.clone()

    def meet_frames(self, height: int, width: int, points: Float[Tensor, "5 2"] | None) -> None:
        """Prepares for other photos than those of the fit.

        Args:
            height: of the photos, in pixels.
            width: of the photos, in pixels.
            points: where their five points lie on average, in pixels, where they are known.
        """
        if self.frame_size is None or self.points is None or points is None:
            return
        here = resized_points(self.points.cpu(), width / self.frame_size[1], height / self.frame_size[0])
        off = float(((points.cpu() - here) / torch.tensor([width, height])).abs().max())
        if off > ELSEWHERE:
            log.warning(
                "faces lie elsewhere in these photos than in those that the recogniser was fitted on (%.0f %% of the "
                "frame): it will know fewer of them. Crop the photos alike.",
                100 * off,
            )

    def features(self, images: Images) -> Float[Tensor, "n d"]:
        """The trunk's output as it is, before any normalisation."""
        self._need_people()
        return self.trunk(self.prepare(images))

    def forward(self, images: Images) -> Logits:
        """One score per identity, before the softmax; the images are in [0, 1] at the data's size."""
        features = self.features(images)
        return self.head(features)

    def embed(self, images: Images) -> Embeddings:
        """The features at unit length: cosine similarity is their dot product."""
        return F.normalize(self.features(images), dim=1)

    def train(self, mode: bool = True) -> "Recognizer":
        """Switches training mode; what is frozen stays in evaluation, so that its BatchNorm statistics stand still."""
        super().train(mode)
        for part in self._frozen:
            part.eval()
        return self

    def locate(self, maps: Float[Tensor, "n 1 a b"], height: int, width: int) -> Scores:
        """Lays maps over the prepared image (attributions of any resolution) back onto the data's frame.

        What the trunk never sees, because it was cropped away, is 0.
        """
        maps = F.interpolate(maps, (self.image_size, self.image_size), mode="bilinear", align_corners=False)
        matrix = self.frame(height, width).to(maps)
        turn, shift = matrix[:, :2], matrix[:, 2:]
        back = torch.cat([turn.inverse(), -turn.inverse() @ shift], 1).expand(len(maps), 2, 3)
        return warp(maps, back, (height, width), padding="border") * inside(back, self.image_size, (height, width))

    def set_identity_means(self, batches: Iterable[tuple[Float[Tensor, "n d"], Labels]]) -> None:
        """Keeps the mean embedding of each identity, for `identity_means`.

        Args:
            batches: features (see `features`) and who they show; every identity at least once.
        """
        sums: Tensor | None = None
        for features, labels in batches:
            sums = features.new_zeros(self.num_classes, features.shape[1]) if sums is None else sums
            sums.index_add_(0, labels, F.normalize(features, dim=1))
        if sums is not None:
            self.prototypes = F.normalize(sums, dim=1)

    def identity_means(self) -> Float[Tensor, "k d"]:
        """The mean embedding of each identity's training photos, at unit length.

        Raises:
            RuntimeError: before the fit.
        """
        if self.prototypes is None:
            raise RuntimeError("`identity_means` are known after the fit; fit the recogniser or load a checkpoint.")
        return self.prototypes

    def fingerprint(self) -> str:
        """Hash of all that decides what it answers and how it is explained: kind, arguments, weights, target layer."""
        with suppress(ValueError):  # a network without maps has none
            _ = self.target_layer  # "auto" is a name from here on
        given = {**self.arguments, **self.fitted}
        plain = {name: value for name, value in given.items() if name != "model" and not isinstance(value, Tensor)}
        total = hashlib.sha256(json.dumps([type(self).__qualname__, plain, self.target_layer_name]).encode())
        tensors = {name: value for name, value in given.items() if isinstance(value, Tensor)}
        for name, value in {**self.state_dict(), **tensors, "prototypes": self.prototypes}.items():
            total.update(name.encode())
            if value is not None:
                total.update(value.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().tobytes())
        return total.hexdigest()

    @property
    def target_layer(self) -> nn.Module:
        """The layer whose output attribution methods look at, as `choose_target_layer` set it (default "auto")."""
        self._need_people()
        if self.target_layer_name == "auto":
            self.target_layer_name = last_map_layer(self.trunk, self.image_size)
        return self.trunk.get_submodule(self.target_layer_name)

    def choose_target_layer(self, name: str) -> None:
        """Sets `target_layer`.

        Args:
            name: a dotted module name inside the trunk (`repeat_2`, `block8.branch1`), or "auto": the last block whose
                output map is larger than 4×4.

        Raises:
            UserError: no such module; the message lists close names.
        """
        self._need_people()
        names = [found for found, _ in self.trunk.named_modules() if found]
        if name != "auto" and name not in names:
            close = difflib.get_close_matches(name, names, n=5, cutoff=0.3) or names[:5]
            raise UserError(
                f"`recognition.target_layer` must be auto or a module of the recogniser, but got {name!r}. "
                f"Close: {', '.join(close)}."
            )
        self.target_layer_name = name


def cover_frame(height: int, width: int, size: int) -> Float[Tensor, "2 3"]:
    """What `cover` does to pixel coordinates; see `Recognizer.frame`."""
    tall, wide = _covering(height, width, size)
    top, left = (tall - size) // 2, (wide - size) // 2
    x, y = wide / width, tall / height
    return torch.tensor([[x, 0.0, (x - 1) / 2 - left], [0.0, y, (y - 1) / 2 - top]])


def _covering(height: int, width: int, size: int) -> tuple[int, int]:
    short = min(height, width)
    return round(height * size / short), round(width * size / short)


def cover(images: Images, size: int) -> Float[Tensor, "n 3 s s"]:
    """Resizes with its aspect kept until the frame covers a square of `size` pixels, then crops the centre.

    Bilinear with antialiasing. Squashing would change the shape of the face; padding would show the network an edge
    that it was never trained on.
    """
    target = _covering(images.shape[2], images.shape[3], size)
    if target != tuple(images.shape[2:]):
        images = F.interpolate(images, target, mode="bilinear", antialias=True, align_corners=False)
    top, left = (target[0] - size) // 2, (target[1] - size) // 2
    return images[:, :, top : top + size, left : left + size]
