from collections import Counter
from itertools import pairwise

import numpy as np
import pytest

from privacy_exp.data.identity_split import (
    check_fold,
    limit_photos,
    seeded_order,
    split_identities,
)
from privacy_exp.data.manifest import read_manifest, write_manifest
from privacy_exp.data.photo import BadDataError, Photo

SPLIT = (0.6, 0.2, 0.2)


def people(counts: dict[str, int]) -> list[Photo]:
    return [Photo(f"{name}_{i}", name) for name, n in counts.items() for i in range(n)]


def names(photos: list[Photo]) -> set[str]:
    return {photo.id for photo in photos}


@pytest.mark.parametrize(
    ("n", "split", "expected"),  # worked out by hand: largest remainder, then one each where there is a share
    [
        (10, SPLIT, (6, 2, 2)),
        (5, SPLIT, (3, 1, 1)),
        (14, SPLIT, (8, 3, 3)),
        (3, SPLIT, (1, 1, 1)),
        (2, SPLIT, (1, 0, 1)),
        (4, (0.9, 0.0, 0.1), (3, 0, 1)),
        (4, (1.0, 0.0, 0.0), (4, 0, 0)),
        (4, (0.0, 0.0, 1.0), (0, 0, 4)),
        (20, (0.5, 0.25, 0.25), (10, 5, 5)),
    ],
)
def test_each_identity_is_split_by_the_shares(n, split, expected):
    parts = split_identities(people({"b": n, "a": n}), split, seed=0).photos
    for name in "ab":
        assert tuple(sum(p.identity == name for p in parts[part]) for part in ("train", "val", "test")) == expected


def test_every_photo_goes_to_one_part_and_labels_follow_sorted_names():
    photos = people({"Zoë": 7, "Adam": 5, "10": 6})
    split = split_identities(photos, SPLIT, seed=3)
    assert split.identities == ["10", "Adam", "Zoë"]
    counts = Counter(p.id for part in split.photos.values() for p in part)
    assert counts == Counter(p.id for p in photos)
    assert all(a.id < b.id for part in split.photos.values() for a, b in pairwise(part))


def test_order_of_files_does_not_matter_but_the_seed_does():
    photos = people({"a": 12, "b": 9})
    shuffled = [photos[i] for i in np.random.default_rng(0).permutation(len(photos))]
    first = split_identities(photos, SPLIT, seed=1)
    assert split_identities(shuffled, SPLIT, seed=1).photos == first.photos
    assert names(split_identities(photos, SPLIT, seed=2).photos["test"]) != names(first.photos["test"])


def test_other_people_do_not_change_ones_split():
    alone = split_identities(people({"a": 9, "b": 5}), SPLIT, seed=0).photos["test"]
    among = split_identities(people({"a": 9, "b": 5, "c": 8}), SPLIT, seed=0).photos["test"]
    assert names(alone) < names(among)


def test_test_photos_are_drawn_evenly_from_the_files():
    """Each of 5 photos is the test photo of about 1/5 of 2,000 identities: 400 with a standard deviation of 18."""
    parts = split_identities(people({f"p{i}": 5 for i in range(2000)}), SPLIT, seed=0).photos
    counts = Counter(p.id.split("_")[1] for p in parts["test"])
    assert len(counts) == 5
    assert max(abs(n - 400) for n in counts.values()) < 4 * 18


@pytest.mark.parametrize("seed", range(30))
def test_groups_never_cross_sides(seed):
    rng = np.random.default_rng(seed)
    photos = [
        Photo(f"{name}_{i}", name, group=None if rng.random() < 0.3 else f"{name}/{rng.integers(4)}")
        for name in "abcdef"
        for i in range(rng.integers(2, 14))
    ]
    photos += [Photo(f"{name}_party", name, group="party") for name in "abc"]  # a group that spans identities
    split = split_identities(photos, SPLIT, seed)
    sides: dict[str, set[str]] = {}
    for part, chosen in split.photos.items():
        for photo in chosen:
            if photo.group is not None:
                sides.setdefault(photo.group, set()).add(part)
    assert all(len(parts) == 1 for parts in sides.values())
    for part in ("train", "test"):
        assert {p.identity for p in split.photos[part]} == set(split.identities)
    assert len(split.identities) + len(split.left_out) == 6


def test_groups_fill_train_and_test_before_val():
    photos = [Photo(f"a_{i}", "a", group="big") for i in range(4)] + [Photo("a_4", "a")] + people({"b": 5})
    parts = split_identities(photos, SPLIT, seed=0).photos
    assert {p.id for p in parts["train"] if p.identity == "a"} == {"a_0", "a_1", "a_2", "a_3"}
    assert [p.id for p in parts["test"] if p.identity == "a"] == ["a_4"]


def test_an_identity_that_is_one_group_is_left_out_by_name():
    photos = [Photo(f"a_{i}", "a", group="one") for i in range(5)] + people({"b": 5, "c": 5})
    split = split_identities(photos, SPLIT, seed=0)
    assert split.identities == ["b", "c"]
    assert "'a'" in split.left_out[0]


def test_limit_is_spread_evenly_over_identities():
    photos = people({"a": 10, "b": 3, "c": 1})
    kept = limit_photos(photos, 8, seed=0)
    counts = Counter(p.identity for p in kept)
    assert counts == {"a": 4, "b": 3, "c": 1}
    assert [p.id for p in kept] == [p.id for p in photos if p in kept]
    assert names(limit_photos(photos, 6, seed=0)) < names(kept)
    assert limit_photos(photos, 99, seed=0) == photos


def test_seeded_order_is_a_permutation_that_depends_on_seed_and_purpose():
    words = [f"w{i}" for i in range(50)]
    orders = {tuple(seeded_order(words, seed, purpose)) for seed in (0, 1) for purpose in ("a", "b")}
    assert len(orders) == 4
    assert all(sorted(order) == sorted(words) for order in orders)
    assert seeded_order(words[::-1], 0, "a") == seeded_order(words, 0, "a")


def test_manifest_gives_back_the_exact_split(tmp_path):
    photos = [
        *people({'Zoë, the "first"': 6, "b": 5}),
        Photo("g0", "b", group="shoot 1"),
        Photo("g1", "b", group="shoot 1"),
    ]
    split = split_identities(photos, SPLIT, seed=5)
    path = tmp_path / "manifest.csv"
    write_manifest(path, split.photos, split.identities)
    again = read_manifest(path, reversed(photos))
    assert again.identities == split.identities
    for part in split.photos:
        assert [p.id for p in again.photos[part]] == [p.id for p in split.photos[part]]
        assert [p.group for p in again.photos[part]] == [p.group for p in split.photos[part]]
    assert list(tmp_path.iterdir()) == [path]  # nothing temporary is left


def test_manifest_columns(tmp_path):
    write_manifest(tmp_path / "m.csv", {"train": [Photo("x", "b")], "test": [Photo("y", "a", "g")]}, ["a", "b"])
    assert (tmp_path / "m.csv").read_text().splitlines() == [
        "image_id,identity,label,part,group",
        "x,b,1,train,",
        "y,a,0,test,g",
    ]


def test_manifest_keeps_its_own_labels_and_leaves_out_what_it_does_not_name(tmp_path):
    path = tmp_path / "m.csv"
    path.write_text("image_id,identity,label,part,group\na_0,a,1,train,\nb_0,b,0,test,\n")
    split = read_manifest(path, people({"a": 3, "b": 3}))
    assert split.identities == ["b", "a"]
    assert sum(len(part) for part in split.photos.values()) == 2


def test_shares_are_checked():
    with pytest.raises(BadDataError, match="sum to 1"):
        split_identities(people({"a": 5, "b": 5}), (0.6, 0.2, 0.3), seed=0)


def test_folds_test_every_photo_once_and_never_train_on_it():
    photos = people({"a": 14, "b": 15, "c": 5})
    tested = []
    for fold in range(5):
        split = split_identities(photos, (0.6, 0.2, 0.2), 0, fold=(fold, 5))
        assert split.identities == ["a", "b", "c"]
        parts = {part: names(split.photos[part]) for part in split.photos}
        assert sum(map(len, parts.values())) == 34
        assert set.union(*parts.values()) == names(photos)
        assert len(parts["train"]) > 2 * len(parts["val"]) > 0
        tested += parts["test"]
    assert sorted(tested) == sorted(names(photos)), "each photo is tested in exactly one fold"


@pytest.mark.parametrize("fold", [[5, 5], [-1, 5], [0, 1], [0]])
def test_folds_are_checked(fold):
    with pytest.raises(BadDataError, match=r"`split_fold` must be \[i, n\]"):
        check_fold(fold)


@pytest.mark.parametrize("seed", range(40))
def test_folds_test_every_photo_once_and_have_the_same_people_where_groups_span_people(seed):
    photos = [Photo(f"{who}{k}", who) for who, n in (("a", 3), ("b", 3), ("c", 4), ("d", 1)) for k in range(n)]
    photos += [Photo("e0", "e"), Photo("e1", "e", "walk"), Photo("aw", "a", "walk"), Photo("e2", "e", "trip")]
    photos += [Photo("as", "a", "shoot"), Photo("bs", "b", "shoot"), Photo("bt", "b", "trip"), Photo("ct", "c", "trip")]
    tested, people = Counter(), set()
    for i in range(2):
        found = split_identities(photos, SPLIT, seed, (i, 2))
        tested.update(photo.id for photo in found.photos["test"])
        people.add(tuple(found.identities))
        sides = {}
        for part, own in found.photos.items():
            for photo in own:
                assert photo.group is None or sides.setdefault(photo.group, part) == part
    assert people == {("a", "b", "c")}
    assert tested == {photo.id: 1 for photo in photos if photo.identity not in "de"}
