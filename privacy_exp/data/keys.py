"""The keys that every data set takes."""

from collections.abc import Sequence
from typing import TypedDict


class DataKeys(TypedDict, total=False):
    """The keys that every data set passes on to `FaceData`; see there."""

    split: Sequence[float]
    split_seed: int
    split_fold: Sequence[int] | None
    max_identities: int | None
    min_images_per_identity: int
    max_test_images: int | None
    manifest: str | None
    on_bad_image: str
    batch_size: int
    num_workers: int
