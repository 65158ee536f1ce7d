"""Whose noise a painting begins with: each photo's own, or that of the person."""

import pytest
import torch

from privacy_exp import DiffusionInpainter, DrawnFaces, Faces, Sampling
from privacy_exp.data.photo import Photo, people_of
from privacy_exp.inpainting.controls import Blur
from privacy_exp.masking.face_oval import FaceOval
from privacy_exp.photos.finding import FaceFinder
from privacy_exp.photos.treating import PhotoAnonymizer
from privacy_exp.runs.folder import RunFolder
from privacy_exp.study.stages import anonymize
from privacy_exp.types import UserError
from tests.inpainting.conftest import some_faces

PEOPLE = ["ann", "bob", "ann"]


@pytest.fixture(scope="module")
def faces():
    """Three photos of one picture, so that nothing but noise can tell their results apart."""
    images = some_faces(1, 64, 64).images.expand(3, -1, -1, -1).clone()
    return Faces(["a1", "b1", "a2"], images, torch.tensor([0, 1, 0]), people=PEOPLE)


class Nobody(FaceFinder):
    def look(self, pixels):
        return []


def painter(**keys):
    keys = {"num_inference_steps": 2, "guidance_scale": 1, "batch_size": 3} | keys
    return DiffusionInpainter.from_pretrained("tiny", **keys)


def painted(faces, draw=0, seed=0, **keys):
    return painter(**keys)(faces, torch.ones(len(faces.ids), 1, 64, 64, dtype=torch.bool), seed=seed, draw=draw)


def near(one, other):
    return (one - other).abs().max() < 1e-4


def test_photos_of_one_person_begin_alike(faces):
    one, other, again = painted(faces, same_new_face="person")
    assert near(one, again)
    assert not near(one, other)
    own = painted(faces)
    assert not near(own[0], own[2])
    assert not near(own[0], one)


def test_the_default_is_each_photos_own(faces):
    assert Sampling().same_new_face == "photo"
    assert torch.equal(painted(faces), painted(faces.unlabelled(), same_new_face="photo"))


def test_seed_and_draw_change_the_new_face(faces):
    plain, seeded, drawn = (painted(faces, same_new_face="person", **own)[0] for own in ({}, {"seed": 1}, {"draw": 1}))
    assert not near(plain, seeded)
    assert not near(plain, drawn)


def test_neither_batch_nor_order_nor_who_else_takes_part_matters(faces):
    together = painted(faces, same_new_face="person")
    for size in (1, 2):
        assert near(painted(faces, same_new_face="person", batch_size=size), together)
    # without bob the labels of the others may be other numbers
    alone = Faces.__getitem__(faces, [2, 0])._replace(labels=torch.tensor([5, 5]))
    assert near(painted(alone, same_new_face="person"), together[[2, 0]])


def test_a_killed_run_goes_on_to_the_same_pictures(faces, tmp_path):
    def folder(name):
        return RunFolder(tmp_path / name, "png")

    def run(name, batches):
        anonymize(
            batches, 3, None, FaceOval(), painter(same_new_face="person"), 0.5, 0, RunFolder(tmp_path / name, "png")
        )
        return {path.name: path.read_bytes() for path in (tmp_path / name / "results").iterdir()}

    def killed():
        yield faces[:2]
        raise KeyboardInterrupt

    faces = faces._replace(landmarks=torch.tensor([[[20.0, 25], [44, 25], [32, 36], [24, 46], [40, 46]]] * 3))
    whole = run("whole", [faces[:2], faces[2:]])
    with pytest.raises(KeyboardInterrupt):
        run("resumed", killed())
    assert run("resumed", [faces[:2], faces[2:]]) == whole
    assert len(whole) == 3


def test_a_batch_keeps_who_is_on_each_photo(faces):
    assert Faces.__getitem__(faces, [1, 0]).people == ["bob", "ann"]
    assert faces.to("cpu").people == PEOPLE
    assert faces.without({"a1"}).people == ["bob", "ann"]
    assert faces.unlabelled().people is None
    data = DrawnFaces(identities=3, photos_per_identity=6, image_size=64)
    batch = next(data.batches("test", 99))
    assert batch.people == [photo.identity for photo in data.photos["test"]]
    assert [data.identities[label] for label in batch.labels] == batch.people
    one = data.photos["test"][0]
    assert people_of([one, one]) == [one.identity] * 2
    assert people_of([one, Photo("stranger", None)]) is None


def test_nameless_photos_are_refused_with_the_way_out(faces):
    with pytest.raises(UserError, match=r"`same_new_face: person` needs to know.*same_new_face=photo"):
        painted(faces.unlabelled(), same_new_face="person")
    with pytest.raises(UserError, match=r"whole photos.*same_new_face=photo.*data=folder"):
        PhotoAnonymizer(FaceOval(), painter(same_new_face="person"), finder=Nobody())
    PhotoAnonymizer(FaceOval(), Blur(), finder=Nobody())
    with pytest.raises(UserError, match="`same_new_face` must be photo or person, but got face"):
        painter(same_new_face="face")
