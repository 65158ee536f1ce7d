"""Photos of calibrating people as rows: who is on each, and which are never held against each other."""

from collections import defaultdict
from collections.abc import Sequence

import numpy as np
import pandas as pd

from privacy_exp.data.identity_split import groups_of
from privacy_exp.data.photo import Photo
from privacy_exp.evaluation.certifying import FEWEST
from privacy_exp.types import UserError


def table_of(photos: Sequence[Photo]) -> pd.DataFrame:
    """A row a photo with `image_id, identity, label`."""
    names = [str(photo.identity) for photo in photos]
    number = {name: label for label, name in enumerate(sorted(set(names)))}
    ids = [photo.id for photo in photos]
    return pd.DataFrame({"image_id": ids, "identity": names, "label": np.array([number[n] for n in names], np.int64)})


def groups_by_photo(photos: Sequence[Photo]) -> np.ndarray:
    """The group of each photo; one without a group is a group of its own."""
    group = {photo.id: name for name, members in groups_of(photos).items() for photo in members}
    return np.array([group[photo.id] for photo in photos])


def members_of(photos: Sequence[Photo], attributes: Sequence[str]) -> dict[str, set[str]]:
    """Group to its people: by the value that most of a person's photos have."""
    votes: dict[tuple[str, str], list[bool]] = defaultdict(list)
    for photo in photos:
        for name in attributes:
            if name not in (photo.attributes or {}):
                known = ", ".join(sorted(photo.attributes or {})) or "none"
                raise UserError(f"`groups` takes attributes of the data ({known}), but got {name!r}.")
            votes[name, str(photo.identity)].append(bool((photo.attributes or {})[name]))
    found: dict[str, set[str]] = defaultdict(set)
    for (name, person), flags in votes.items():
        found[f"{name}={'yes' if 2 * sum(flags) > len(flags) else 'no'}"].add(person)
    for group, own in found.items():
        if len(own) < FEWEST:
            raise UserError(
                f"a certificate needs at least {FEWEST} people in each group, but {group} has {len(own)}. Take more "
                "people, or leave this attribute out of `groups`."
            )
    return dict(sorted(found.items()))
