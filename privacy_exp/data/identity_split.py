"""A seeded split within each identity that keeps groups together."""

import hashlib
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence, Set
from typing import NamedTuple

from privacy_exp.data.photo import BadDataError, Photo

PARTS = ("train", "val", "test")


class Split(NamedTuple):
    """Which photo goes where.

    Attributes:
        photos: {"train", "val", "test"} to photos in the order of their ids.
        identities: label index to the data's own name of the identity.
        left_out: one line for each identity that could not be split.
    """

    photos: dict[str, list[Photo]]
    identities: list[str]
    left_out: list[str]


def seeded_order(names: Iterable[str], seed: int, purpose: str) -> list[str]:
    """The names in an order that depends on `seed`, `purpose` and each name alone, never on the order they came in."""
    return sorted(names, key=lambda name: hashlib.sha256(f"{seed}\0{purpose}\0{name}".encode()).digest())


def check_shares(split: Sequence[float]) -> tuple[float, float, float]:
    """The three shares of `split`.

    Raises:
        BadDataError: they are not three numbers in [0, 1] that sum to 1.
    """
    shares = tuple(float(share) for share in split)
    if len(shares) != 3 or min(shares) < 0 or abs(sum(shares) - 1) > 1e-6:
        raise BadDataError(
            f"`split` must be three shares in [0, 1] for train, val and test that sum to 1, but got {list(shares)} "
            f"(sum {sum(shares):g}). Set for example data.split=[0.6,0.2,0.2]."
        )
    return shares[0], shares[1], shares[2]


def required_parts(split: Sequence[float]) -> list[str]:
    """The parts in which every identity needs at least one photo: train and test, where their share is not zero."""
    return [part for part, share in zip(PARTS, split, strict=True) if share > 0 and part != "val"]


def by_identity(photos: Iterable[Photo]) -> dict[str, list[Photo]]:
    """Identity to its photos; identities and photos in sorted order."""
    found: dict[str, list[Photo]] = defaultdict(list)
    for photo in sorted(photos, key=lambda photo: photo.id):
        if photo.identity is not None:
            found[photo.identity].append(photo)
    return dict(sorted(found.items()))


def groups_of(photos: Iterable[Photo]) -> dict[str, list[Photo]]:
    """Photos that must stay together; a photo without a group is a group of its own."""
    groups: dict[str, list[Photo]] = defaultdict(list)
    for photo in photos:
        groups[f"photo/{photo.id}" if photo.group is None else f"group/{photo.group}"].append(photo)
    return dict(groups)


def shared_groups(photos: Iterable[Photo]) -> set[str]:
    """The groups, as `groups_of` names them, that hold photos of several people."""
    owners: dict[str, set[str | None]] = defaultdict(set)
    for name, members in groups_of(photos).items():
        owners[name] |= {photo.identity for photo in members}
    return {name for name, own in owners.items() if len(own) > 1}


def check_fold(fold: Sequence[int] | None) -> tuple[int, int] | None:
    """`split_fold` as (i, n), or None.

    Raises:
        BadDataError: not two whole numbers with 0 <= i < n and n >= 2.
    """
    if fold is None:
        return None
    if len(fold) != 2 or not all(isinstance(number, int) for number in fold) or not 0 <= fold[0] < fold[1] >= 2:
        raise BadDataError(
            f"`split_fold` must be [i, n] with 0 <= i < n and n of at least 2, but got {list(fold)}. The folds "
            "[0, 5] to [4, 5] test every photo once."
        )
    return fold[0], fold[1]


def split_identities(
    photos: Iterable[Photo], split: Sequence[float], seed: int, fold: tuple[int, int] | None = None
) -> Split:
    """Splits the photos of each identity; whole groups go to one part, also where a group spans identities.

    Args:
        photos: all photos that take part, in any order.
        split: shares of train, val and test; they sum to 1.
        seed: decides which photo goes where.
        fold: (i, n): the i-th of n parts of each identity is the test part, in place of the share that `split` names;
            the others are divided as `split` divides train and val.

    Raises:
        BadDataError: `split` does not sum to 1, or leaves nothing to train on besides a fold.
    """
    shares = check_shares(split)
    if fold is not None and shares[0] + shares[1] == 0:
        raise BadDataError("`split_fold` tests one part and needs shares of `split` for train and val besides it.")
    parts: dict[str, list[Photo]] = {part: [] for part in PARTS}
    identities, left_out, placed = [], [], dict[str, str]()
    photos = list(photos)
    shared = shared_groups(photos)
    for identity, own in by_identity(photos).items():
        groups = groups_of(own)
        if fold is None:
            places = _place_groups(groups, shares, seed, identity, placed)
        elif len(groups.keys() - shared) < fold[1]:  # in every fold alike, so that all folds have the same people
            left_out.append(
                f"identity {identity!r}: {len(groups.keys() - shared)} groups of its own, {fold[1]} needed to test one "
                "in each fold"
            )
            continue
        else:
            places = _place_fold(groups, shares, seed, identity, placed, fold, shared)
        needed = required_parts(shares if fold is None else (shares[0], shares[1], 1))
        missing = [part for part in needed if part not in places.values()]
        if missing:
            left_out.append(f"identity {identity!r}: its groups leave no photo for {' and '.join(missing)}")
            continue
        placed.update(places)
        identities.append(identity)
        for group, members in groups.items():
            parts[places[group]].extend(members)
    return Split({part: sorted(chosen, key=lambda p: p.id) for part, chosen in parts.items()}, identities, left_out)


def _place_groups(
    groups: Mapping[str, list[Photo]], shares: Sequence[float], seed: int, identity: str, placed: Mapping[str, str]
) -> dict[str, str]:
    """Group to part: largest groups first, each to the part with most room; parts that need a photo come first."""
    places = {group: placed[group] for group in groups if group in placed}
    room = dict(zip(PARTS, _targets(sum(len(members) for members in groups.values()), shares), strict=True))
    for group, part in places.items():
        room[part] -= len(groups[group])
    waiting = seeded_order([group for group in groups if group not in placed], seed, f"split {identity}")
    waiting.sort(key=lambda group: -len(groups[group]))
    for i, group in enumerate(waiting):
        empty = [part for part in required_parts(shares) if part not in places.values()]
        open_parts = [part for part, share in zip(PARTS, shares, strict=True) if share > 0]
        choice = empty if len(empty) >= len(waiting) - i else open_parts
        # On equal room val comes last: train and test cannot do without a photo, val can.
        places[group] = max(choice, key=lambda part: (room[part], part != "val", part == "train"))
        room[places[group]] -= len(groups[group])
    return places


def _place_fold(
    groups: Mapping[str, list[Photo]],
    shares: Sequence[float],
    seed: int,
    identity: str,
    placed: Mapping[str, str],
    fold: tuple[int, int],
    shared: Set[str],
) -> dict[str, str]:
    """Group to part: every n-th group of a seeded order is tested, the others are divided between train and val.

    In which fold a group of several people is tested depends on its name, so that it is the same for all of them.
    """
    order = seeded_order([group for group in groups if group not in shared], seed, f"fold {identity}")
    common = [group for group in groups if group in shared and _fold_of(group, seed, fold[1]) == fold[0]]
    tested = dict.fromkeys([*order[fold[0] :: fold[1]], *common], "test")
    others = {group: members for group, members in groups.items() if group not in tested}
    rest = shares[0] + shares[1]
    return tested | _place_groups(others, (shares[0] / rest, shares[1] / rest, 0.0), seed, identity, placed)


def _fold_of(group: str, seed: int, folds: int) -> int:
    return int.from_bytes(hashlib.sha256(f"{seed}\0fold\0{group}".encode()).digest()[:8], "big") % folds


def _targets(n: int, shares: Sequence[float]) -> list[int]:
    """`n` photos over the parts by largest remainder; each part with a share gets one where `n` allows."""
    counts = [int(n * share + 1e-9) for share in shares]
    by_remainder = sorted(range(3), key=lambda i: counts[i] - n * shares[i])
    for i in by_remainder[: n - sum(counts)]:
        counts[i] += 1
    for i in (2, 0, 1):
        if shares[i] > 0 and counts[i] == 0 and max(counts) > 1:
            counts[counts.index(max(counts))] -= 1
            counts[i] = 1
    return counts


def limit_photos(photos: Sequence[Photo], limit: int, seed: int) -> list[Photo]:
    """So many photos, spread evenly over identities, in the order of their ids; the choice is seeded."""
    turns: list[tuple[int, str]] = []
    people: dict[str, list[str]] = defaultdict(list)
    for photo in photos:
        people[photo.identity or ""].append(photo.id)
    for person in seeded_order(people, seed, "test people"):
        turns += enumerate(seeded_order(people[person], seed, "test photos"))
    kept = {name for _, name in sorted(turns, key=lambda turn: turn[0])[:limit]}  # stable: people keep their order
    return [photo for photo in photos if photo.id in kept]
