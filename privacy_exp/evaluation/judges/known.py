"""Faces that an embedder has met before, photo by photo: folds and studies that share photos share what it saw."""

import numpy as np

from privacy_exp.cache.rows import Rows, picture_name
from privacy_exp.cache.sources import sources
from privacy_exp.cache.store import Store
from privacy_exp.evaluation.judges.embedder import Embedded, Embedder, embed, where_faces_lie
from privacy_exp.recognition.detection import StoredDetections
from privacy_exp.types import Images


class KnownFaces:
    """Embeds pictures, and keeps each one's detection and embedding in the store.

    A detection goes by the picture alone. An embedding goes by the picture and the points that it was aligned by, so
    that other people's template moves only those in which no face was found.

    Args:
        store: where they lie.
        embedder: after `fit`.
        detect: as in `embed_batches`.
    """

    def __init__(self, store: Store, embedder: Embedder, detect: bool) -> None:
        self.embedder = embedder
        self.detections = StoredDetections(store) if detect and embedder.aligns else None
        fields = {"embedder": embedder.fields(), "code": [sources(type(embedder)), sources(__name__)]}
        self.rows = Rows(store.open_folder("embedded", fields), "embeddings")

    def __call__(self, names: list[str], images: Images) -> Embedded:
        """Pictures as the embedder sees them.

        Args:
            names: digests of the pictures.
            images: RGB in [0, 1].
        """
        device = self.embedder.device
        seen = None if self.detections is None else self.detections(names, images, device)
        landmarks, found = where_faces_lie(self.embedder, images, seen)
        points = landmarks.cpu().numpy()
        if self.embedder.aligns:
            names = [name + picture_name(row) for name, row in zip(names, points, strict=True)]
        rows = self.rows(names, lambda: {"vectors": embed(self.embedder, images, landmarks)})
        return Embedded(rows["vectors"], found.numpy())


def joined(parts: list[Embedded]) -> Embedded:
    """Batches in one."""
    return Embedded(np.concatenate([p.vectors for p in parts]), np.concatenate([p.detected for p in parts]))
