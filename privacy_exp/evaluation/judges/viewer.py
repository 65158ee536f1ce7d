"""The pictures of a run through an embedder; what does not change from cell to cell comes from the store."""

import hashlib
import io
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int
from PIL import Image
from torchvision.transforms.functional import pil_to_tensor

from privacy_exp.cache.sources import sources
from privacy_exp.evaluation.judges.embedder import Embedded, Embedder, embed_batches, frame_templates, picture_batches
from privacy_exp.evaluation.judges.known import KnownFaces, joined
from privacy_exp.evaluation.measure import Scene
from privacy_exp.runs.folder import RunFolder, to_pillow
from privacy_exp.runs.formats import FORMATS
from privacy_exp.runs.picture import Picture, picture_digest
from privacy_exp.types import Faces, Images

Array = np.ndarray


@dataclass(frozen=True)
class Viewer:
    """Embeds what a run left.

    Attributes:
        embedder: what it sees with; `embedder.fit(scene)` comes first.
        detect: align each picture by its own detection; else, and where none is found, by the data's template.
        batch_size: pictures at a time.
    """

    embedder: Embedder
    detect: bool = True
    batch_size: int = 32

    def originals(self, scene: Scene) -> Embedded:
        """The test photos, embedded once for all cells that saved the same files."""
        return self.files(scene, [path for path, _ in scene.folder.list("original").values()])

    def files(self, scene: Scene, paths: Sequence[Picture]) -> Embedded:
        """Picture files in their order, embedded once for all who ask about the same pictures.

        Args:
            scene: the run.
            paths: the files, all of one size.
        """
        pictures = hashlib.sha256("".join(picture_digest(path) for path in paths).encode()).hexdigest()
        parts = (paths[start : start + self.batch_size] for start in range(0, len(paths), self.batch_size))
        batches = (([picture_digest(path) for path in part], scene.folder.read(part)) for part in parts)
        return self._stored(scene, {"pictures": pictures}, batches)

    def see(self, scene: Scene, kind: str, folder: RunFolder | None = None) -> Embedded:
        """Pictures of a folder in the order of their ids, embedded now.

        Args:
            scene: the run.
            kind: "original", "results" or "control".
            folder: None takes the run's own.
        """
        batches = picture_batches(folder or scene.folder, kind, self.batch_size)
        return embed_batches(self.embedder, batches, self.detect)

    def impostors(
        self, scene: Scene, clean: Embedded, people: Int[Array, " n"]
    ) -> tuple[Float[Array, "m d"], Int[Array, " m"]]:
        """All originals that the embedder was not trained on, in the run's image format, and who is on them.

        Args:
            scene: the run.
            clean: the test photos; see `originals`.
            people: who is on them.
        """
        vectors, labels = [clean.vectors], [people]
        for part in ("train", "val") if scene.data is not None else ():
            photos = [] if scene.data is None else scene.data.photos[part]
            if scene.data is None or part in self.embedder.parts_seen or not photos:
                continue
            image_format = scene.config["image_format"]
            reader = sources(type(scene.data))
            which = {"data": scene.data.digest(), "reader": reader, "part": part, "image_format": image_format}
            batches = _as_saved(scene.data.batches(part, self.batch_size), image_format)
            vectors.append(self._stored(scene, which, batches).vectors)
            number = {identity: label for label, identity in enumerate(scene.data.identities)}
            labels.append(np.array([number[str(photo.identity)] for photo in photos], dtype=people.dtype))
        all_vectors, all_labels = np.concatenate(vectors), np.concatenate(labels)
        usable = ~np.isnan(all_vectors).any(1)
        return all_vectors[usable], all_labels[usable]

    def _stored(self, scene: Scene, which: dict[str, Any], batches: Iterable[tuple[list[str], Images]]) -> Embedded:
        points = [[list(size), template.tolist()] for size, template in sorted(frame_templates(scene).items())]
        code = [sources(type(self.embedder)), sources(__name__)]
        known = {"detect": self.detect, "templates": points, "code": code}
        fields = {"embedder": self.embedder.fields(), **known, **which}

        def compute(folder: Path) -> None:
            known = KnownFaces(scene.store, self.embedder, self.detect)
            seen = joined([known(names, images) for names, images in batches])
            np.savez(folder / "embeddings.npz", vectors=seen.vectors, detected=seen.detected)

        folder, _ = scene.store.fetch("embeddings", fields, compute)
        with np.load(folder / "embeddings.npz", allow_pickle=False) as arrays:
            return Embedded(arrays["vectors"], arrays["detected"])


def _as_saved(batches: Iterable[Faces], image_format: str) -> Iterator[tuple[list[str], Images]]:
    """Photos as a run's folder would hold them, with their files' digests: they share one format with test pictures."""
    for faces in batches:
        names, images = [], []
        for image in faces.images:
            file = io.BytesIO()
            to_pillow(image).save(file, {"jpg": "JPEG", "png": "PNG"}[image_format], **FORMATS[image_format])
            names.append(hashlib.sha256(file.getvalue()).hexdigest())
            with Image.open(file) as saved:
                images.append(pil_to_tensor(saved.convert("RGB")).float() / 255)
        yield names, torch.stack(images)
