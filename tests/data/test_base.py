import pickle
from collections import Counter
from copy import copy

import numpy as np
import pytest
import torch
from jaxtyping import UInt8
from lightning_fabric.utilities import move_data_to_device

from privacy_exp.data.base import FaceData
from privacy_exp.data.manifest import write_manifest
from privacy_exp.data.photo import BadDataError, BadImageError, Examined, Flags, Photo, safe_id
from privacy_exp.types import Faces


class Painted(FaceData):
    """Photos of one colour each: the k-th is k everywhere."""

    def __init__(self, people: int = 4, each: int = 10, offset: int = 0, order: int = 1, **keys: object) -> None:
        super().__init__(**keys)
        self.people, self.each, self.offset, self.order = people, each, offset, order
        self.indexed, self.reads = 0, Counter()
        self.bad: set[str] = set()

    def index(self) -> list[Photo]:
        self.indexed += 1
        n = self.people * self.each
        point = ((1.0, 1.0), (3.0, 1.0), (2.0, 2.0), (1.0, 4.0), (3.0, 4.0))
        photos = [
            Photo(f"k{k:03d}", f"p{k % self.people}", None, point, Flags(("Male", "Smiling"), [k % 2 == 0, k % 3 == 0]))
            for k in range(n)
        ]
        return photos[:: self.order]

    def read(self, photo: Photo) -> UInt8[np.ndarray, "h w 3"]:
        self.reads[photo.id] += 1
        if photo.id in self.bad:
            raise BadImageError(f"{photo.id} is broken")
        return np.full((6, 5, 3), int(photo.id[1:]) + self.offset, np.uint8)


def test_setup_splits_once():
    data = Painted()
    data.setup()
    photos = data.photos
    data.setup("fit")
    assert data.indexed == 1
    assert data.photos is photos
    assert {part: len(own) for part, own in data.photos.items()} == {"train": 24, "val": 8, "test": 8}
    assert data.identities == ["p0", "p1", "p2", "p3"]
    assert data.image_size == (6, 5)
    assert data.skipped == []


def test_faces_hold_what_the_photos_say():
    data = Painted()
    data.setup()
    photos = data.photos["train"][:3]
    faces = data.faces(photos)
    assert faces.ids == [p.id for p in photos]
    assert faces.images.shape == (3, 3, 6, 5)
    assert faces.images.is_contiguous()
    for i, photo in enumerate(photos):
        k = int(photo.id[1:])
        assert torch.equal(faces.images[i], torch.full((3, 6, 5), k / 255))
        assert faces.labels[i] == k % 4
        assert faces.attributes["Male"][i] == (k % 2 == 0)
        assert faces.attributes["Smiling"][i] == (k % 3 == 0)
    assert faces.landmarks.shape == (3, 5, 2)
    assert data.template().tolist() == [[1, 1], [3, 1], [2, 2], [1, 4], [3, 4]]


def test_batches_come_in_order_for_any_size_and_any_number_of_workers():
    data, loaded = Painted(), Painted(num_workers=2)
    for size in (None, 1, 3, 8):
        batches = list(data.batches("test", size))
        assert [name for batch in batches for name in batch.ids] == [p.id for p in data.photos["test"]]
        assert len(batches[0].ids) == (size or 8)
    for one, other in zip(data.batches("train", 5), loaded.batches("train", 5), strict=True):
        assert isinstance(other, Faces)
        assert one.ids == other.ids
        assert torch.equal(one.images, other.images)
        assert torch.equal(one.labels, other.labels)


def test_train_loader_shuffles_from_the_seed():
    def epochs(seed=0, **keys):
        loader = Painted(batch_size=7, **keys).train_dataloader(seed)
        return [[name for batch in loader for name in batch.ids] for _ in range(2)]

    first, second = epochs()
    assert first != second
    assert sorted(first) == sorted(second)
    assert first != sorted(first)
    assert epochs() == epochs(num_workers=2) == [first, second]
    assert epochs(seed=1) != [first, second]
    state = torch.get_rng_state()
    epochs()
    assert torch.equal(torch.get_rng_state(), state), "loading draws from nobody's numbers"


def test_val_and_test_loaders_keep_the_order():
    data = Painted()
    for part, loader in (("val", data.val_dataloader()), ("test", data.test_dataloader())):
        assert [name for batch in loader for name in batch.ids] == [p.id for p in data.photos[part]]


def test_pixels_are_read_when_asked_for_and_not_kept():
    class Cheap(Painted):
        def examine(self, photo: Photo) -> Examined:
            return Examined(photo.id, (6, 5))

    data = Cheap()
    batches = data.batches("train", 4)
    next(batches)
    assert data.reads.total() == 4
    list(data.batches("train", 4))
    list(data.batches("train", 4))
    assert data.reads[data.photos["train"][-1].id] == 2


def test_batches_survive_lightning_and_travel_to_workers():
    data = Painted()
    faces = next(data.batches("test", 2))
    moved = move_data_to_device(faces, torch.device("cpu"))
    assert isinstance(moved, Faces)
    assert moved.ids == faces.ids
    data.trainer = lambda: None  # a trainer holds things that cannot be pickled
    again = pickle.loads(pickle.dumps(data))  # noqa: S301  # what the workers' start does
    assert again.trainer is None
    assert again.faces(data.photos["test"][:2]).ids == faces.ids


def digest(**keys: object) -> str:
    return Painted(**keys).digest()


def test_a_digest_is_computed_once_for_the_same_photos(monkeypatch):
    computed = []
    monkeypatch.setattr(
        "privacy_exp.data.digest.full_digest", lambda photos, *_: computed.append(len(photos["test"])) or str(computed)
    )
    data = Painted()
    known = data.digest()
    assert (data.digest(), copy(data).digest()) == (known, known)
    fewer = copy(data)
    fewer.photos = {**data.photos, "test": data.photos["test"][:1]}
    assert fewer.digest() != known
    assert computed == [len(data.photos["test"]), 1]


def test_digest_is_of_content_split_and_labels_not_of_order():
    base = digest()
    assert digest(order=-1) == base
    assert digest(batch_size=3) == base
    assert len({base, digest(offset=1), digest(split_seed=1), digest(max_identities=3), digest(max_test_images=4)}) == 5


@pytest.mark.parametrize("change", ["landmarks", "attributes", "identity", "group"])
def test_digest_changes_with_what_is_known_of_a_photo(change, tmp_path):
    class Changed(Painted):
        def index(self) -> list[Photo]:
            photos = super().index()
            old = photos[0]
            moved = ((1.0, 1.0), (3.0, 1.0), (2.0, 3.0), (1.0, 4.0), (3.0, 4.0))
            new = {"landmarks": moved, "attributes": {"Male": False, "Smiling": True}, "identity": "p1", "group": "g"}
            values = {"identity": old.identity, "landmarks": old.landmarks, "attributes": old.attributes}
            return [Photo(id=old.id, **(values | {change: new[change]})), *photos[1:]]

    assert Changed().digest() != digest()
    if change == "group":  # which moves photos, unless a manifest holds them
        data = Painted()
        data.setup()
        write_manifest(tmp_path / "m.csv", data.photos, data.identities)
        assert Changed(manifest=str(tmp_path / "m.csv")).digest() != data.digest()


def test_max_identities_takes_a_seeded_choice_that_grows():
    chosen = []
    for n in (2, 3, 6, 20):
        data = Painted(people=8, max_identities=n)
        data.setup()
        chosen.append(set(data.identities))
    assert [len(names) for names in chosen] == [2, 3, 6, 8]
    assert chosen[0] < chosen[1] < chosen[2] < chosen[3]
    other = Painted(people=8, max_identities=3, split_seed=5)
    other.setup()
    assert set(other.identities) != chosen[1]


def test_max_test_images_takes_evenly():
    data = Painted(people=4, each=20, max_test_images=6)
    data.setup()
    assert sorted(Counter(p.identity for p in data.photos["test"]).values()) == [1, 1, 2, 2]
    assert len(data.photos["train"]) == 48


def test_people_with_few_photos_are_left_out_and_listed():
    class Uneven(Painted):
        def index(self) -> list[Photo]:
            return [photo for photo in super().index() if photo.id not in {f"k{k:03d}" for k in range(0, 28, 4)}]

    data = Uneven()
    data.setup()
    assert data.identities == ["p1", "p2", "p3"]
    assert data.skipped == ["identity 'p0': 3 photos, 5 needed"]


def test_unreadable_photos_are_skipped_only_if_asked():
    data = Painted(on_bad_image="skip")
    data.bad = {"k004", "k009"}
    data.setup()
    assert data.skipped == ["k004 is broken", "k009 is broken"]
    assert sum(len(own) for own in data.photos.values()) == 38
    strict = Painted()
    strict.bad = {"k009"}
    with pytest.raises(BadImageError, match="k009"):
        strict.setup()
    assert strict.photos == {}


def test_skipping_can_leave_an_identity_too_small_and_the_next_takes_its_place():
    plain = Painted(people=6, each=5, max_identities=2)
    plain.setup()
    gone = plain.identities[0]
    data = Painted(people=6, each=5, max_identities=2, on_bad_image="skip")
    data.bad = {next(p.id for p in data.index() if p.identity == gone)}
    data.setup()
    assert len(data.identities) == 2
    assert gone not in data.identities
    assert plain.identities[1] in data.identities
    assert f"identity {gone!r}: 4 photos, 5 needed" in data.skipped


def test_manifest_repeats_a_run_and_its_digest(tmp_path):
    data = Painted(people=8, split_seed=3, max_identities=4, max_test_images=7)
    data.setup()
    path = tmp_path / "manifest.csv"
    write_manifest(path, data.photos, data.identities)
    again = Painted(people=8, order=-1, manifest=str(path))
    again.setup()
    assert again.digest() == data.digest()
    assert {p: [x.id for x in own] for p, own in again.photos.items()} == {
        p: [x.id for x in own] for p, own in data.photos.items()
    }


def test_template_without_landmarks_is_celebas_scaled():
    class Blind(Painted):
        def index(self) -> list[Photo]:
            return [Photo(p.id, p.identity) for p in super().index()]

        def read(self, photo: Photo) -> UInt8[np.ndarray, "h w 3"]:
            return np.full((109, 89, 3), int(photo.id[1:]), np.uint8)

    template = Blind().template()  # half of CelebA's 178x218
    torch.testing.assert_close(template[0], torch.tensor([69.5 / 2 - 0.25, 111 / 2 - 0.25]))
    faces = next(Blind().batches("test", 2))
    assert faces.landmarks is None
    assert faces.attributes is None


@pytest.mark.parametrize(
    ("path", "expected"),  # written out by hand from the rule
    [
        ("000457.jpg", "000457"),
        ("a b/c-d.PNG", "a%20b%2Fc%2Dd"),
        ("Zoë/1.2.jpg", "Zo%C3%AB%2F1%2E2"),
        ("v1.0/plain", "v1%2E0%2Fplain"),
        ("x_%41.jpg", "x_%2541"),
    ],
)
def test_safe_id(path, expected):
    assert safe_id(path) == expected


def test_flags_are_a_mapping():
    flags = Flags(("a", "b", "c"), [True, False, True])
    assert dict(flags) == {"a": True, "b": False, "c": True}
    with pytest.raises(KeyError):
        flags["d"]


def test_unknown_part_is_an_error():
    with pytest.raises(BadDataError, match="`part`"):
        next(Painted().batches("validation"))


def test_a_photo_that_changes_after_the_check_is_noticed():
    class Shrinking(Painted):
        def read(self, photo: Photo) -> UInt8[np.ndarray, "h w 3"]:
            pixels = super().read(photo)
            return pixels if self.reads[photo.id] < 2 else pixels[1:]

    with pytest.raises(BadImageError, match=r"\(5, 5\).*\(6, 5\)"):
        next(Shrinking().batches("test"))


def test_photos_with_other_attributes_are_an_error():
    class Mixed(Painted):
        def index(self) -> list[Photo]:
            first, *others = super().index()
            return [Photo(first.id, first.identity, None, first.landmarks, {"Male": True}), *others]

    with pytest.raises(BadDataError, match="same names"):
        Mixed().setup()
