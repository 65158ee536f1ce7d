"""The keys that every data set takes."""

from collections.abc import Sequence
from typing import TypedDict

from privacy_exp.data.photo import BadDataError


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


LEAST = {"max_identities": 2, "min_images_per_identity": 1, "max_test_images": 1, "batch_size": 1, "num_workers": 0}


def check_keys(on_bad_image: str, **numbers: int | None) -> None:
    """Checks the values of keys that can be wrong by themselves.

    Raises:
        BadDataError: a number that is too small, or another word for `on_bad_image` than error and skip.
    """
    if on_bad_image not in ("error", "skip"):
        raise BadDataError(f"`on_bad_image` must be 'error' or 'skip', but got {on_bad_image!r}.")
    for name, value in numbers.items():
        if value is not None and value < LEAST[name]:
            raise BadDataError(f"`{name}` must be at least {LEAST[name]}, but got {value}.")
