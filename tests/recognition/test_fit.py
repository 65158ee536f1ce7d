import csv
from dataclasses import replace
from typing import ClassVar

import numpy as np
import pytest
import torch
from hydra import compose, initialize_config_dir
from hydra.utils import instantiate
from pytorch_lightning.loggers import CSVLogger
from torch import nn

from privacy_exp.data.manifest import write_manifest
from privacy_exp.data.photo import Flags
from privacy_exp.recognition.facenet import FaceNet
from privacy_exp.recognition.fit import clean_accuracy, fit_key, fit_recognizer, save_checkpoint
from privacy_exp.recognition.module import RecognitionModule, shift_and_mirror
from privacy_exp.recognition.onnx import OnnxRecognizer
from privacy_exp.recognition.recipe import FitRecipe
from privacy_exp.sweep.entry import CONF
from privacy_exp.types import Faces

from .small import Colours, Small, same, state


def ready(**keys):
    data = Colours(**keys)
    data.setup()
    return data


def test_people_of_different_colours_are_told_apart(fit):
    data = ready()
    result = fit(data, max_epochs=12)
    assert clean_accuracy(result.recognizer, data.batches("test")) == 1
    assert result.val_accuracy == 1
    assert result.epochs == 12
    assert result.seconds > 0
    assert not result.recognizer.training


def test_same_seed_same_weights_and_the_callers_random_state_stays(fit):
    torch.manual_seed(7)
    before = torch.get_rng_state()
    first, second, other = (fit(seed=seed).recognizer for seed in (1, 1, 2))
    assert same(state(first), state(second))
    assert not same(state(first), state(other))
    assert torch.equal(torch.get_rng_state(), before)
    assert not torch.are_deterministic_algorithms_enabled()


def test_how_many_load_photos_and_what_split_them_change_no_weight(fit, tmp_path):
    first = ready(batch_size=7)
    write_manifest(tmp_path / "manifest.csv", first.photos, first.identities)
    keys = {"batch_size": 7, "manifest": str(tmp_path / "manifest.csv")}
    expected = fit(first, max_epochs=3)
    for data in (ready(batch_size=7, num_workers=2), ready(**keys, split_seed=5)):
        assert same(state(fit(data, max_epochs=3).recognizer), state(expected.recognizer))


def test_facenet_fits_twice_alike(fit):
    net = FaceNet(image_size=75)
    data = ready(people=2, photos_each=8, split=[0.75, 0.125, 0.125], batch_size=6)
    first, second = (fit(data, net, max_epochs=1, lr=1e-3).recognizer for _ in range(2))
    assert same(state(first), state(second))


def test_a_gpu_that_is_not_used_is_worth_no_warning(fit, monkeypatch):
    """The fixture makes every warning an error."""
    monkeypatch.setattr("pytorch_lightning.accelerators.CUDAAccelerator.is_available", staticmethod(lambda: True))
    assert fit(max_epochs=1).epochs == 1


def test_a_frozen_trunk_is_unchanged_by_a_fit(fit):
    class Watched(Small):
        def load_start(self):
            self.before = state(self)

    for augment in (True, False):
        result = fit(net=Watched(freeze="trunk"), augment=augment).recognizer
        after = state(result)
        moved = {name for name in after if not torch.equal(after[name], result.before[name])}
        assert moved == {"head.weight", "head.bias"}


def test_features_of_a_frozen_trunk_are_computed_once_and_right(fit):
    calls = []

    class Counting(Small):
        def prepare(self, images):
            calls.append(len(images))
            return super().prepare(images)

    data = ready()
    recognizer = fit(data, Counting(freeze="trunk"), augment=False).recognizer
    assert sum(calls) == len(data.photos["train"]) + len(data.photos["val"])
    by_hand = torch.zeros(3, 32)
    for faces in data.batches("train"):
        by_hand.index_add_(0, faces.labels, recognizer.embed(faces.images).detach())
    torch.testing.assert_close(recognizer.identity_means(), nn.functional.normalize(by_hand, dim=1))


def test_curves_are_logged(fit, tmp_path):
    logger = CSVLogger(tmp_path / "curves", name="", version="")
    fit(loggers=[logger], max_epochs=3)
    with (tmp_path / "curves" / "metrics.csv").open() as file:
        rows = list(csv.DictReader(file))
    for name in ("train/loss", "train/accuracy", "val/loss", "val/accuracy"):
        values = [float(row[name]) for row in rows if row.get(name)]
        assert len(values) == 3, name
        assert all(np.isfinite(values))


def test_logged_figures_are_counted_by_hand(fit, tmp_path):
    logger, data = CSVLogger(tmp_path / "curves", name="", version=""), ready()
    result = fit(data, loggers=[logger], max_epochs=1)
    right, loss, n = 0, 0.0, 0
    for faces in data.batches("val"):
        probabilities = result.recognizer(faces.images).softmax(1).detach().numpy()
        right += int((probabilities.argmax(1) == faces.labels.numpy()).sum())
        loss -= float(np.log(probabilities[range(len(faces.ids)), faces.labels]).sum())
        n += len(faces.ids)
    assert result.val_accuracy == pytest.approx(right / n)
    with (tmp_path / "curves" / "metrics.csv").open() as file:
        logged = next(row for row in csv.DictReader(file) if row["val/loss"])
    assert float(logged["val/loss"]) == pytest.approx(loss / n, rel=1e-4)


def test_early_stopping_and_the_best_epoch(fit, monkeypatch):
    accuracies = iter([0.5, 0.9, 0.7, 0.6, 0.5, 0.4])
    states = []

    def step(self, faces, batch_idx):
        if batch_idx == 0:
            self.value = next(accuracies)
            states.append(state(self.recognizer))
        self.log("val/accuracy", self.value, batch_size=len(faces.ids))

    monkeypatch.setattr(RecognitionModule, "validation_step", step)
    result = fit(max_epochs=6, patience=2)
    assert result.epochs == 4
    assert result.val_accuracy == pytest.approx(0.9)
    assert same(state(result.recognizer), states[1])


def test_without_validation_photos(fit):
    result = fit(ready(split=[0.8, 0.0, 0.2]), patience=3)
    assert result.val_accuracy is None


def test_a_last_batch_of_one_photo(fit):
    data = ready(batch_size=17)  # 18 photos to train on
    assert len(data.photos["train"]) == 18
    recognizer = fit(data).recognizer
    assert all(value.isfinite().all() for value in recognizer.state_dict().values())


def test_init_from_takes_the_trunk_and_drops_the_head(fit, tmp_path):
    first = fit(ready(people=5), seed=1).recognizer
    save_checkpoint(tmp_path / "recognizer.ckpt", first, list("abcde"))
    second = fit(ready(), Small(freeze="trunk"), init_from=tmp_path).recognizer
    assert same(state(first.trunk), state(second.trunk))
    assert second.num_classes == 3


@pytest.mark.parametrize("optimizer", ["adamw", "adam", "sgd"])
def test_gradients_are_clipped_in_mixed_precision(tmp_path, optimizer):
    overrides = ["enable_progress_bar=false", "+gradient_clip_val=1.0", "precision=bf16-mixed"]
    with initialize_config_dir(str(CONF / "trainer"), version_base="1.3"):
        trainer = instantiate(compose("cpu", overrides=overrides))
    data = ready()
    data.setup()
    recipe = FitRecipe(max_epochs=1, optimizer=optimizer)
    fitted = fit_recognizer(data, Small(), recipe, trainer, 0, tmp_path, None, ())
    assert all(value.isfinite().all() for value in fitted.recognizer.state_dict().values())


def test_the_key_holds_what_matters_and_nothing_else(tmp_path):
    data = ready()
    (tmp_path / "a.onnx").write_bytes(b"model")
    (tmp_path / "b.onnx").write_bytes(b"model")
    (tmp_path / "c.onnx").write_bytes(b"other")

    def key(model="a", trainer=(), data=data, seed=0, **module):
        net = OnnxRecognizer(str(tmp_path / f"{model}.onnx"))
        return fit_key(data, net, FitRecipe(**{"lr": 1, **module}), {"precision": 32, **dict(trainer)}, seed)

    assert key() == key("b")
    assert key() == key(trainer={"enable_progress_bar": False, "devices": 1})
    assert key() == key(data=ready())
    others = [key("c"), key(trainer={"precision": 16}), key(lr=2), key(seed=1), key(data=ready(split_seed=1))]
    others.append(key(data=ready(batch_size=4)))
    assert key() == key(data=ready(max_test_images=3)), "the test photos take no part in a fit"

    class Known(Colours):
        points: ClassVar = None

        def index(self):
            attributes = Flags(("Male",), [True])
            return [replace(photo, attributes=attributes, landmarks=self.points) for photo in super().index()]

    known = Known()
    known.setup()
    changed = {name for name, value in key(data=known).items() if value != key()[name]}
    assert changed == {"code"}, "no fit looks at attributes, but another class reads photos by other code"
    Known.points = ((5.0, 6.0), (12.0, 6.0), (8.0, 10.0), (5.0, 14.0), (12.0, 14.0))
    known = Known()
    known.setup()
    assert key()["template"] != key(data=known)["template"], "aligned recognisers look at landmarks"
    assert data.digest() != ready(max_test_images=3).digest()
    assert all(other != key() for other in others)
    with pytest.raises(FileNotFoundError, match=r"`recognition.init_from`"):
        fit_key(data, Small(), FitRecipe(), {}, 0, tmp_path / "nothing")


def test_shift_and_mirror_moves_but_invents_nothing():
    images = torch.rand(32, 3, 16, 24, generator=torch.Generator().manual_seed(0))
    faces = Faces([f"face {i}" for i in range(32)], images)
    moved = shift_and_mirror(faces, seed=0, epoch=1)
    assert torch.equal(shift_and_mirror(faces[[7, 3]], 0, 1), moved[[7, 3]]), "neighbours matter"
    assert not torch.equal(shift_and_mirror(faces, 0, 2), moved)
    alike = faces._replace(images=images[:1].expand(32, -1, -1, -1))
    assert len({image.numpy().tobytes() for image in shift_and_mirror(alike, 0, 1)}) > 16, "each photo draws anew"
    assert not torch.equal(shift_and_mirror(faces, 1, 1), moved)
    assert moved.shape == images.shape
    for before, after in zip(images, moved, strict=True):
        assert set(after.flatten().tolist()) <= set(before.flatten().tolist())
    centres = images[:, 0, 8, 12]
    reached = torch.stack([(a[0] == c).nonzero()[0] for a, c in zip(moved, centres, strict=True)])
    offsets = (reached - torch.tensor([8, 12])).abs()
    assert offsets.max() <= 4
    assert offsets.max() >= 2


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"max_epochs": 0}, "`max_epochs` must be at least 1"),
        ({"optimizer": "rmsprop"}, "`optimizer` must be one of adamw"),
        ({"label_smoothing": 1.0}, "`label_smoothing` must lie in"),
        ({"lr": 0.0}, "`lr` must be positive"),
        ({"patience": 0}, "`patience` must be at least 1"),
    ],
)
def test_bad_keys(keys, message):
    with pytest.raises(ValueError, match=message):
        FitRecipe(**keys)


def test_faces_without_labels_are_refused():
    faces = Faces(["a"], torch.rand(1, 3, 16, 16))
    with pytest.raises(ValueError, match=r"`batches` must carry labels"):
        clean_accuracy(Small(3), [faces])
    with pytest.raises(ValueError, match=r"`batches` holds no photo"):
        clean_accuracy(Small(3), [])
    with pytest.raises(RuntimeError, match=r"`identity_means`"):
        Small(3).identity_means()
