"""What an attacker gathers: its own pictures, the run's as a data set, pairs; by hand, nothing is trained."""

import hashlib
from copy import copy
from dataclasses import replace

import numpy as np
import pytest
import torch

from privacy_exp.data.files import examine_image
from privacy_exp.data.seeds import generator
from privacy_exp.evaluation.attackers import pictures
from privacy_exp.evaluation.attackers.anonymized_faces import AnonymizedFaces
from privacy_exp.evaluation.attackers.picture_pairs import Pairs, digests, joined, pairs_of
from privacy_exp.evaluation.attackers.pictures import (
    check_apart,
    check_photos,
    check_seed,
    lacks,
    nothing_found,
    originals,
    own_cost,
    own_pictures,
)
from privacy_exp.evaluation.measure import Fits
from privacy_exp.runs.folder import RunFolder
from privacy_exp.types import UserError
from tests.recognition.small import Colours

NAME = "attacker/a"


@pytest.fixture
def scene(fakes):
    return fakes.scene("negative")


@pytest.fixture
def folders(scene):
    return {part: scene.anonymize(part, 1) for part in ("train", "val")} | {"test": scene.folder}


def without(data, *parts):
    bare = copy(data)
    bare.photos = {**data.photos, **{part: [] for part in parts}}
    return bare


def ready(*args, **keys):
    data = AnonymizedFaces(*args, **keys)
    data.setup()
    return data


def test_a_seed_of_one_is_the_least():
    assert check_seed(1) == 1
    with pytest.raises(UserError, match="must be at least 1, but got 0"):
        check_seed(0)


def test_people_without_a_photo_to_learn_from_are_counted(fakes):
    check_photos(fakes.data)
    some = without(fakes.data)
    some.photos["train"] = [p for p in fakes.data.photos["train"] if p.identity not in ("person1", "person3")]
    with pytest.raises(UserError, match=r"but 2 of 5 identities have none to learn from, such as 'person1'\."):
        check_photos(some)


def test_pictures_are_made_of_the_parts_that_there_are(fakes, scene, folders):
    made = own_pictures(scene, NAME, 1)
    assert list(made) == ["train", "val", "test"]
    assert made["test"] is scene.folder
    assert made["train"].path.name == "train-1"
    assert list(own_pictures(replace(scene, data=without(fakes.data, "val")), NAME, 1)) == ["train", "test"]
    for lacking in ({"data": None}, {"anonymize": None}):
        with pytest.raises(
            UserError, match=r"attacker/a anonymises further photos.*privacy_exp\.train attacker=\[a\]\."
        ):
            own_pictures(replace(scene, **lacking), NAME, 1)
    cost = own_cost(without(fakes.data, "val"), 3, Fits(2))
    assert (cost.fits, cost.pictures) == ((Fits(2),), {("train", 3)})


def test_a_picture_that_is_learnt_from_is_not_asked_about(scene, folders, tmp_path):
    learnt = {part: folders[part] for part in ("train", "val")}
    check_apart(learnt, scene.folder, NAME)
    test, val = scene.folder.list("original"), folders["val"].list("original")
    (asked, (_, label)), (known, (other, _)) = next(iter(test.items())), list(val.items())[1]
    leak = RunFolder(tmp_path, "png")
    leak.save("original", [asked], torch.tensor([label]), scene.folder.read([other]))
    with pytest.raises(UserError) as error:
        check_apart(learnt, leak, NAME)
    assert f"{NAME} would learn from the pictures it is tried on: 1 of 1 test photos" in str(error.value)
    assert f"among those of train and val, such as {asked} (there {known})." in str(error.value)


def test_a_scene_lacks_what_it_says(fakes, scene):
    assert lacks(scene, painted=True) is lacks(scene, painted=False) is None
    assert "has no other photos" in lacks(replace(scene, data=None), painted=False)
    assert "cannot anonymise other photos" in lacks(replace(scene, anonymize=None), painted=True)
    assert lacks(replace(scene, anonymize=None), painted=False) is None
    other = without(fakes.data)
    other.image_size = (21, 18)
    cut = replace(scene, data=other)
    assert lacks(cut, painted=False) == "the run's masking method cut frames of its own, and only the run knows how"
    assert lacks(replace(cut, frame=lambda faces: faces), painted=False) is None
    found = nothing_found(scene, NAME, "because").metrics
    assert set(found) == {f"{NAME}/accuracy", f"{NAME}/recovered_share"}
    assert {(m.value, m.low, m.high, m.n, m.reason) for m in found.values()} == {(None, None, None, 5, "because")}


def test_originals_are_framed_as_the_run_frames_them_and_kept(fakes, scene, tmp_path, monkeypatch):
    monkeypatch.setattr(pictures, "sources", lambda part: f"code of {part}")
    asked = []
    scene = replace(scene, store=type(scene.store)(tmp_path))

    def fetch(*args):
        asked.append(args[:2])
        return type(scene.store).fetch(scene.store, *args)

    scene.store.fetch = fetch
    own = originals(scene, NAME, "val")
    assert own.list("original").keys() == {photo.id for photo in fakes.data.photos["val"]}
    assert [(path.suffix, label) for path, label in own.list("original").values()] == [(".png", k) for k in range(5)]
    kind, fields = asked[0]
    assert kind == "originals"
    assert fields.keys() == {"data", "part", "image_format", "code"}
    assert (fields["data"], fields["part"], fields["image_format"]) == (fakes.data.digest(), "val", "png")
    assert fields["code"] == [f"code of {pictures.__name__}", f"code of {Colours}"]
    cut = replace(scene, frame=lambda faces: faces._replace(images=faces.images[:, :, :8]))
    cut = replace(cut, config={**scene.config, "masking": {"size": 8}})
    framed = originals(cut, NAME, "val")
    assert framed.path != own.path
    assert framed.read([path for path, _ in framed.list("original").values()]).shape == (5, 3, 8, 18)
    assert asked[-1][1]["masking"] == {"size": 8}
    with pytest.raises(UserError, match=r"attacker/a learns from further photos, but a folder of finished pictures"):
        originals(replace(scene, data=None), NAME, "val")
    whole = replace(scene, folder=own)
    with pytest.raises(UserError, match="5 of 5 test photos are also among those of val"):
        originals(whole, NAME, "val")


def test_the_attackers_people_are_those_that_were_named(fakes, folders):
    two = ready(fakes.data, folders, people=["person3", "person1"])
    assert two.identities == ["person1", "person3"]
    assert {photo.identity for part in two.photos.values() for photo in part} == {"person1", "person3"}
    assert {part: len(photos) for part, photos in two.photos.items()} == {"train": 6, "val": 2, "test": 2}
    assert next(two.batches("test", 100)).labels.tolist() == [0, 1]
    train = ready(fakes.data, {"train": folders["train"]})
    assert {part: len(photos) for part, photos in train.photos.items()} == {"train": 15, "val": 0, "test": 0}
    assert train.identities == fakes.data.identities
    assert (train.batch_size, train.num_workers, train.split_seed) == (8, fakes.data.num_workers, fakes.data.split_seed)
    assert train.template().equal(fakes.data.template())
    assert train.known_template() is fakes.data.known_template()


def test_pictures_that_are_missing_are_named(fakes, folders, tmp_path):
    photos = fakes.data.photos["val"]
    part = RunFolder(tmp_path, "png")
    part.save("results", [photos[0].id], torch.tensor([0]), torch.zeros(1, 3, 20, 18))
    with pytest.raises(ValueError, match=f"{tmp_path} lacks 4 photos of val, such as {photos[1].id}; delete"):
        AnonymizedFaces(fakes.data, {"val": part})


def test_labels_are_shuffled_within_train_and_val_by_their_own_draws(fakes, folders):
    data = ready(fakes.data, folders, shuffle=3)
    for part in ("train", "val"):
        own = [photo.identity for photo in fakes.data.photos[part]]
        order = torch.randperm(len(own), generator=generator(3, "shuffled labels", part)).tolist()
        assert [photo.identity for photo in data.photos[part]] == [own[i] for i in order]
    assert data.photos["test"] == fakes.data.photos["test"]


def test_hidden_pixels_are_grey_and_the_mask_is_part_of_what_was_seen(fakes, folders):
    plain, grey = (ready(fakes.data, folders, grey_hidden=hidden) for hidden in (False, True))
    photo = fakes.data.photos["val"][2]
    pixels, seen = plain.read(photo), grey.read(photo)
    assert (seen[:10] == 128).all()
    assert (seen[10:] == pixels[10:]).all()
    assert (pixels[10:] != 128).any()
    np.testing.assert_array_equal(pixels, 255 - fakes.data.read(photo))
    np.testing.assert_array_equal(ready(fakes.data, folders, "original").read(photo), fakes.data.read(photo))
    files = [examine_image(folders["val"].list(kind)[photo.id][0]) for kind in ("results", "masks")]
    assert plain.examine(photo) == files[0]
    both = hashlib.sha256((files[0].content + files[1].content).encode()).hexdigest()
    assert grey.examine(photo) == files[0]._replace(content=both)


def test_pairs_are_the_same_photos_before_and_after(fakes, folders):
    ids = [photo.id for photo in fakes.data.photos["val"]][::-1]
    own = pairs_of(folders["val"], ids, masked=True)
    for row, photo in enumerate(reversed(fakes.data.photos["val"])):
        pixels = fakes.data.read(photo).transpose(2, 0, 1)
        np.testing.assert_array_equal(own.originals[row].numpy(), pixels)
        np.testing.assert_array_equal(own.results[row].numpy(), 255 - pixels)
    assert own.masks[:, :, :10].all()
    assert not own.masks[:, :, 10:].any()
    assert pairs_of(folders["val"], ids, masked=False).masks is None
    some = own[torch.tensor([2, 0])]
    assert some.results.equal(own.results[[2, 0]])
    assert some.originals.equal(own.originals[[2, 0]])
    assert some.masks.shape == (2, 1, 20, 18)
    assert Pairs(own.results, own.originals)[torch.tensor([1])].masks is None


def test_pairs_of_several_folders_stand_folder_by_folder(fakes, folders):
    ids = {part: [photo.id for photo in fakes.data.photos[part]][:2] for part in ("train", "val")}
    photos = [(folders[part], ids[part][k]) for k in (0, 1) for part in ("val", "train")]
    both = joined(photos, masked=True)
    apart = [pairs_of(folders[part], ids[part], masked=True) for part in ("val", "train")]
    for field in ("results", "originals", "masks"):
        assert getattr(both, field).equal(torch.cat([getattr(p, field) for p in apart]))
    assert joined(photos, masked=False).masks is None


def test_digests_see_each_file_that_is_read(fakes, tmp_path):
    def folder(**changed):
        made = RunFolder(tmp_path / f"{len(list(tmp_path.iterdir()))}", "png")
        black = torch.zeros(2, 3, 4, 4)
        kinds = {"original": black, "results": black, "masks": black[:, :1] == 0} | changed
        for kind, images in kinds.items():
            made.save(kind, ["a", "b"], torch.tensor([0, 1]), images)
        return made

    def digest(made, ids="ab", masked=True):
        return digests([(made, i) for i in ids], masked)

    plain = folder()
    assert digest(plain) == digest(folder()), "another place is the same"
    assert len(digest(plain)) == 20
    assert digest(plain, "a") != digest(plain)
    assert digest(plain, masked=False) != digest(plain)
    one = torch.zeros(2, 3, 4, 4)
    one[1] = 1
    assert digest(folder(original=one)) != digest(plain) != digest(folder(results=one)) != digest(folder(original=one))
    hidden = folder(masks=one[:, :1] > 0)
    assert digest(hidden) != digest(plain)
    assert digest(hidden, masked=False) == digest(plain, masked=False)
