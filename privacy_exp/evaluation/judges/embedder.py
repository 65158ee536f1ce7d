"""What a judge looks through: a face embedder, its alignment, and how pictures are embedded in batches."""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor

from privacy_exp.cache.configured import Configured
from privacy_exp.data.points import celeba_template
from privacy_exp.evaluation.measure import Scene
from privacy_exp.recognition.detection import Detections, detect_faces
from privacy_exp.runs.folder import RunFolder, read_rgb
from privacy_exp.types import Images, Landmarks, UserError

Array = np.ndarray


class Embedder(Configured, ABC):
    """A face embedder. It aligns and normalises inside, as its makers did.

    Attributes:
        face_points: where faces lie, five points in pixels, by the size (height, width) of a frame; known after `fit`.
        device: what it runs on.
    """

    parts_seen: ClassVar[tuple[str, ...]] = ()
    """Parts of the run's data that it was trained on: no threshold comes from them."""

    aligns: ClassVar[bool] = True
    """Whether it uses landmarks at all; where not, nothing is detected."""

    face_points: Mapping[tuple[int, int], Tensor] | None = None
    device: torch.device = torch.device("cpu")

    def fit(self, scene: Scene) -> None:
        """Learns from the run what it needs: where faces lie, and people, where it does not come trained."""
        self.face_points = frame_templates(scene)
        self.device = scene.device

    @abstractmethod
    def fields(self) -> dict[str, Any]:
        """All that its embeddings depend on, as plain values; files by the hash of their bytes."""

    @abstractmethod
    def prepare(self, images: Images, landmarks: Landmarks) -> Tensor:
        """Aligned and normalised crops.

        Args:
            images: RGB in [0, 1].
            landmarks: five points a face, in pixels of `images`.
        """

    @abstractmethod
    def features(self, crops: Tensor) -> Float[Tensor, "n d"]:
        """The network's output for prepared crops, of any length."""

    @property
    def comes_trained(self) -> bool:
        """Whether it can be asked before `fit`; by default where `fit` is this class's own."""
        return type(self).fit is Embedder.fit

    @torch.inference_mode()
    def try_out(self) -> None:
        """Asks once about two grey pictures, before anything expensive starts; nothing where it must be fitted first.

        Raises:
            UserError: it does not give one vector of finite numbers for each.
        """
        if not self.comes_trained:
            return
        images = grey_pictures(128)
        found = self.features(self.prepare(images, celeba_template(128, 128).expand(2, 5, 2)))
        if not isinstance(found, Tensor) or found.ndim != 2 or len(found) != 2 or not found.float().isfinite().all():
            shape = f"a tensor of {tuple(found.shape)}" if isinstance(found, Tensor) else f"a {type(found).__name__}"
            raise UserError(
                f"`{type(self).__name__}.features` must return one vector of finite numbers per picture, but returned "
                f"{shape} for two grey ones."
            )


def grey_pictures(side: int) -> Images:
    """Two square grey pictures that differ and are not flat, RGB in [0, 1].

    Args:
        side: in pixels.

    Example:
        >>> tuple(grey_pictures(8).shape)
        (2, 3, 8, 8)
    """
    ramp = torch.linspace(0.3, 0.7, side).expand(side, side)
    return torch.stack([ramp, ramp.T]).unsqueeze(1).expand(2, 3, side, side).clone()


@dataclass(frozen=True)
class Embedded:
    """Pictures as an embedder sees them.

    Attributes:
        vectors: rows of unit norm; NaN rows where embedding failed (not finite, or of no length).
        detected: whether the face was aligned by its own detection; otherwise by the data's template.
    """

    vectors: Float[Array, "n d"]
    detected: Bool[Array, " n"]

    @property
    def failed(self) -> Bool[Array, " n"]:
        """Which pictures could not be embedded."""
        return np.isnan(self.vectors).any(1)


@torch.inference_mode()
def embed_batches(
    embedder: Embedder,
    batches: Iterable[Images],
    detect: bool = True,
) -> Embedded:
    """Embeds pictures batch by batch.

    Args:
        embedder: after `fit`.
        batches: RGB in [0, 1].
        detect: whether to look for each face; without it, and where none is found, it is taken to lie where the
            template says.

    Raises:
        RuntimeError: before `fit`.
        UserError: no pictures.
    """
    vectors, detected = [], []
    for images in batches:
        seen = detect_faces(images, embedder.device) if detect and embedder.aligns else None
        landmarks, found = where_faces_lie(embedder, images, seen)
        vectors.append(embed(embedder, images, landmarks))
        detected.append(found.numpy())
    if not vectors:
        raise UserError("`batches` must hold pictures to embed, but holds none.")
    return Embedded(np.concatenate(vectors), np.concatenate(detected))


def where_faces_lie(
    embedder: Embedder, images: Images, seen: Detections | None
) -> tuple[Landmarks, Bool[Tensor, " n"]]:
    """Five points of each face, and whether they were found; else they are the template's.

    Args:
        embedder: after `fit`.
        images: RGB in [0, 1].
        seen: None where nobody has looked.

    Raises:
        RuntimeError: before `fit`.
    """
    if embedder.face_points is None:
        raise RuntimeError("`fit` comes before the first picture.")
    height, width = images.shape[-2:]
    template = embedder.face_points[height, width].to(images).expand(len(images), 5, 2)
    if seen is None:
        return template, torch.zeros(len(images), dtype=torch.bool)
    landmarks = torch.where(seen.found.to(images.device)[:, None, None], seen.landmarks.to(images), template)
    return landmarks, seen.found


@torch.inference_mode()
def embed(embedder: Embedder, images: Images, landmarks: Landmarks) -> Float[Array, "n d"]:
    """Rows of unit norm; NaN rows where embedding failed.

    Args:
        embedder: the network.
        images: RGB in [0, 1].
        landmarks: five points a face, in pixels.
    """
    images, landmarks = images.to(embedder.device), landmarks.to(embedder.device)
    features = embedder.features(embedder.prepare(images, landmarks)).float()
    usable = features.isfinite().all(1) & (features.norm(dim=1) > 0)
    unit = torch.where(usable[:, None], F.normalize(features, dim=1), torch.nan)
    vectors: np.ndarray = unit.cpu().numpy()
    return vectors


def picture_batches(folder: RunFolder, kind: str, batch_size: int) -> Iterator[Images]:
    """The pictures of a run, in the order of their ids.

    Args:
        folder: the run's.
        kind: "original", "results" or "control".
        batch_size: pictures at a time.
    """
    paths = [path for path, _ in folder.list(kind).values()]
    for start in range(0, len(paths), batch_size):
        yield folder.read(paths[start : start + batch_size])


def frame_templates(scene: Scene) -> dict[tuple[int, int], Float[Tensor, "5 2"]]:
    """Where faces lie on the data's photos and on the frames of a run, in pixels, by (height, width).

    As in CelebA, scaled, in a folder made elsewhere.

    Raises:
        UserError: the run's method cut frames of its own, and nothing says where faces lie on them.
    """
    known = {} if scene.data is None else {scene.data.image_size: scene.data.template()}
    first, _ = next(iter(scene.folder.list("original").values()))
    height, width, _ = read_rgb(first).shape
    size = height, width
    if scene.template is not None:
        known[size] = scene.template
    elif scene.data is None:
        known[size] = celeba_template(*size)
    elif size not in known:
        raise UserError(
            f"the run saved frames of {size} (height, width), cut by its masking method from photos of "
            f"{scene.data.image_size}: choose judges in `privacy_exp.train`, which knows where faces lie on them."
        )
    return known
