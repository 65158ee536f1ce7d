"""experiment=painter_faces on drawn faces: every loss and option once, killed and resumed, in bfloat16."""

from pathlib import Path
from typing import Any

import pytest
import torch
from hydra import compose, initialize_config_dir
from torch import Tensor

from privacy_exp import train_inpainter
from privacy_exp.data.celeba import CelebA
from privacy_exp.data.drawn.faces import DrawnFaces
from privacy_exp.data.seeds import generator
from privacy_exp.inpainting.diffusion import DiffusionInpainter
from privacy_exp.inpainting.training import autoencoder
from privacy_exp.inpainting.training.best import BestAverage
from privacy_exp.inpainting.training.faces import collect
from privacy_exp.inpainting.training.losses import Adversary, FaceLoss
from privacy_exp.inpainting.training.steps import StepTraining
from privacy_exp.sweep.entry import CONF
from tests.inpainting.conftest import some_faces, some_masks
from tests.inpainting.training.test_stages import SMALL, assert_equal, train, weights
from tests.recognition.test_onnx import build, graph

POINTS = torch.tensor([[11.0, 14.0], [21.0, 14.0], [16.0, 19.0], [12.0, 24.0], [20.0, 24.0]])
LATENT = "networks.autoencoder.latent_channels=8"
ALONE = "stages=[autoencoder]"


@pytest.fixture(scope="module")
def embedder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return graph(tmp_path_factory.mktemp("embedder") / "tiny.onnx")


def recipe(embedder: Path) -> list[str]:
    """All that painter_faces turns on, at the size of a test."""
    return [
        LATENT,
        "held_out_people=0.25",
        "crop=0.1",
        "colour=0.15",
        f"autoencoder.embedding_model='{embedder}'",
        "autoencoder.embedding_weight=0.5",
        "autoencoder.perceptual_weight=0.1",
        "autoencoder.adversarial_weight=0.02",
        "autoencoder.adversarial_from=2",
        "autoencoder.equivariance=0.4",
        "autoencoder.validate_every=2",
        "autoencoder.patience=9",
        "unet.validate_every=2",
        "unet.patience=9",
    ]


def state(folder: Path, stage: str = "autoencoder") -> dict[str, Any]:
    return torch.load(folder / "work" / stage / "last.ckpt", weights_only=True)


@pytest.fixture(scope="module")
def painter(tmp_path_factory: pytest.TempPathFactory, embedder: Path) -> Path:
    folder = tmp_path_factory.mktemp("painter")
    train(folder, *recipe(embedder))
    return folder


def test_the_recipe_makes_a_painter_whose_unet_sees_the_mask(painter: Path) -> None:
    made = weights(painter / "out")
    assert made["unet/conv_in.weight"].shape[1] == 2 * 8 + 1
    faces, masks = some_faces(2, 32, 32), some_masks(2, 32, 32)
    result = DiffusionInpainter.from_pretrained(str(painter / "out"), num_inference_steps=2)(faces, masks, seed=0)
    assert torch.equal(result[0][~masks[0].expand(3, -1, -1)], faces.images[0][~masks[0].expand(3, -1, -1)])
    assert (result != faces.images)[masks.expand(-1, 3, -1, -1)].any()


@pytest.mark.parametrize(("stage", "at"), [("autoencoder", 3), ("autoencoder", 5), ("unet", 3)])
def test_a_killed_recipe_resumes_and_ends_equal(
    stage: str, at: int, tmp_path: Path, painter: Path, embedder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    step = StepTraining.training_step

    def killed(self: StepTraining, *args: Any) -> Tensor:
        if self.stage == stage and self.global_step == at:
            raise MemoryError("killed")
        return step(self, *args)

    monkeypatch.setattr(StepTraining, "training_step", killed)
    with pytest.raises(MemoryError, match="killed"):
        train(tmp_path, *recipe(embedder), "checkpoint_every=2")
    monkeypatch.undo()
    train(tmp_path, *recipe(embedder), "checkpoint_every=2")
    for part in ("autoencoder", "unet"):  # with the adversary and the best averages
        assert_equal(state(tmp_path, part)["state_dict"], state(painter, part)["state_dict"])
    found = state(painter, "unet")["state_dict"]
    assert int(found["best.looked_at"]) == 6
    assert found["best.score"].isfinite()
    assert float(found["best.score"]) < 0
    assert_equal(weights(tmp_path / "out"), weights(painter / "out"))


@pytest.mark.parametrize(
    "option",
    [
        "held_out_people=0.25",
        "crop=0.1",
        "colour=0.1",
        "autoencoder.embedding_weight=0.5",
        "autoencoder.perceptual_weight=0.5",
        "autoencoder.adversarial_weight=0.5",
        "autoencoder.equivariance=1.0",
    ],
)
def test_each_option_changes_what_is_learnt(option: str, tmp_path: Path, embedder: Path) -> None:
    few = [ALONE, "autoencoder.steps=2", f"autoencoder.embedding_model='{embedder}'"]
    train(tmp_path / "plain", *few)
    train(tmp_path / "other", *few, option)
    plain, other = (state(tmp_path / name)["state_dict"]["average.0"] for name in ("plain", "other"))
    assert not torch.equal(plain, other)


def test_the_adversary_waits_for_its_step(tmp_path: Path) -> None:
    few = [ALONE, "autoencoder.steps=3", "autoencoder.adversarial_weight=1"]
    train(tmp_path / "never", *few, "autoencoder.adversarial_from=3")
    train(tmp_path / "late", *few, "autoencoder.adversarial_from=2")
    assert state(tmp_path / "never")["adversary_optimizer"]["state"] == {}
    assert {int(one["step"]) for one in state(tmp_path / "late")["adversary_optimizer"]["state"].values()} == {1}


def test_weights_of_another_number_of_latent_channels_are_a_start(tmp_path: Path, painter: Path) -> None:
    start = f"warm_start='{painter / 'out'}'"
    train(tmp_path, start, "autoencoder.steps=1", "autoencoder.lr=1e-30", "unet.steps=1", "unet.lr=1e-30")
    before, after = weights(painter / "out"), weights(tmp_path / "out")
    assert before["vae/decoder.conv_in.weight"].shape != after["vae/decoder.conv_in.weight"].shape
    for name in ("vae/decoder.conv_out.weight", "unet/conv_out.weight", "text_encoder/final_layer_norm.weight"):
        same = before[name].shape == after[name].shape
        assert same == (name != "unet/conv_out.weight")
        assert not same or torch.equal(before[name], after[name])
    inner = next(name for name in before if name.startswith("unet/mid_block") and name.endswith("conv1.weight"))
    assert torch.equal(before[inner], after[inner])


def test_a_training_without_progress_stops_and_stays_stopped(tmp_path: Path) -> None:
    keys = ["held_out_people=0.25", "autoencoder.validate_every=1", "autoencoder.patience=2", "autoencoder.lr=1e-30"]
    train(tmp_path, *keys, ALONE)
    first = state(tmp_path)
    assert int(first["state_dict"]["best.step"]) == 1
    assert first["global_step"] == 4  # looks before the steps that follow 1, 2 and 3; the last of these is still taken
    train(tmp_path, *keys, ALONE)
    assert state(tmp_path)["global_step"] == 4


def test_what_was_best_on_people_held_out_is_exported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    scores = iter([1.0, 3.0, 2.0])
    monkeypatch.setattr(autoencoder, "measured", lambda *_: {"psnr": next(scores)})
    keys = ["held_out_people=0.25", "autoencoder.validate_every=2", "export_dtype=float32"]
    train(tmp_path, *keys)
    kept = state(tmp_path)["state_dict"]
    assert int(kept["best.step"]) == 4
    assert torch.equal(weights(tmp_path / "out")["vae/encoder.conv_in.weight"], kept["best.weights.0"])
    assert not torch.equal(kept["best.weights.0"], kept["average.0"])


def test_the_best_is_kept_until_a_better_one_comes() -> None:
    best = BestAverage([torch.zeros(2)])
    waits = [best.offer(score, step, [torch.full((2,), score)]) for step, score in enumerate([0.2, 0.1, 0.2, 0.3], 1)]
    assert waits == [0, 1, 2, 0]
    assert (int(best.step), float(best.weights[0][0])) == (4, pytest.approx(0.3))


def test_held_out_people_are_not_trained_on() -> None:
    data = DrawnFaces(identities=8, photos_per_identity=3, image_size=32, min_images_per_identity=1, split=[1, 0, 0])
    data.setup()
    every = collect(data, ["train"], 32, mirror=False)
    some = collect(data, ["train"], 32, mirror=True, held_out_people=0.25)
    assert (len(every.held_out), len(some.held_out), len(some.pixels), len(some.phrases)) == (0, 6, 36, 36)
    left = [i for i, photo in enumerate(every.pixels) if any(torch.equal(photo, out) for out in some.held_out)]
    people = [photo.identity for photo in data.photos["train"]]
    assert len({people[i] for i in left}) == 2
    assert not any(torch.equal(photo, out) for photo in some.pixels for out in some.held_out)


def test_random_crops_and_colours_follow_from_the_generator_and_stay_light() -> None:
    data = DrawnFaces(identities=2, photos_per_identity=5, image_size=64)
    data.setup()
    faces = collect(data, ["train"], 64, mirror=False)
    rows = torch.arange(4)
    assert torch.equal(faces.draw(rows, generator(0, "a")), faces.images(rows))
    for keys in ({"crop": 0.1}, {"colour": 0.1}):
        varied = faces._replace(**keys)
        first, again, other = (varied.draw(rows, generator(0, name)) for name in ("a", "a", "b"))
        assert torch.equal(first, again)
        assert not torch.equal(first, other)
        assert 0.0 < float((first - faces.images(rows)).abs().mean()) < 0.1
        assert 0 <= float(first.min()) <= float(first.max()) <= 1
    flat = faces._replace(pixels=torch.full_like(faces.pixels, 100), crop=0.3)
    torch.testing.assert_close(flat.draw(rows, generator(0, "a")), flat.images(rows))


def test_the_recogniser_of_the_loss_sees_what_the_recogniser_of_a_run_sees(embedder: Path) -> None:
    torch.manual_seed(0)
    images = torch.nn.functional.interpolate(torch.rand(3, 3, 5, 4), (40, 32), mode="bicubic").clamp(0, 1)
    face = FaceLoss(str(embedder), POINTS, (40, 32), 0.5, 0.5)
    known = build(embedder, align=True, template=POINTS).eval()
    torch.testing.assert_close(face.embed(images), known.embed(images).detach())
    squashed = torch.nn.functional.interpolate(images, (96, 96), mode="bilinear")
    face = FaceLoss(str(embedder), POINTS, (40, 32))
    assert (face.embed(squashed) * known.embed(images)).sum(1).min() > 0.999
    as_it_lies = FaceLoss(str(embedder), POINTS * torch.tensor([3.0, 2.4]), (96, 96))
    assert (as_it_lies.embed(squashed) * known.embed(images)).sum(1).min() < 0.999  # proportions matter


def test_what_the_face_loss_measures(embedder: Path) -> None:
    torch.manual_seed(0)
    one, other = torch.rand(2, 4, 3, 32, 32)
    parts = []
    for weights_of in ((2.0, 0.0), (0.0, 3.0)):
        face = FaceLoss(str(embedder), POINTS, (32, 32), *weights_of)
        assert float(face(one, one)[0]) == pytest.approx(0, abs=1e-5)
        parts.append(face(other.requires_grad_(), one))
    cosine = torch.nn.functional.cosine_similarity(face.embed(one), face.embed(other)).mean()
    assert float(parts[0][0]) == pytest.approx(2 * (1 - float(cosine)), abs=1e-5)
    assert float(parts[1][0]) > 0.1
    for loss, similarity in parts:
        torch.testing.assert_close(similarity, cosine)
        (gradient,) = torch.autograd.grad(loss, other)
        assert gradient.abs().max() > 0


def test_the_adversary_learns_with_a_hinge_and_leaves_its_weights_to_its_own_step() -> None:
    torch.manual_seed(0)
    adversary = Adversary(0.5, lr=1e-3)
    torch.nn.init.zeros_(adversary.layers[-1].weight)
    torch.nn.init.zeros_(adversary.layers[-1].bias)
    original, rebuilt = torch.full((2, 3, 32, 32), 0.5), torch.full((2, 3, 32, 32), -0.5, requires_grad=True)
    losses = []
    for _ in range(30):
        term, own = adversary(rebuilt, original)
        losses.append(float(own))
    assert losses[0] == 2.0  # relu(1 - 0) + relu(1 + 0)
    assert losses[-1] < 0.5
    before = [weight.grad.clone() for weight in adversary.parameters()]
    term.backward()
    assert rebuilt.grad.abs().max() > 0
    assert all(torch.equal(weight.grad, old) for weight, old in zip(adversary.parameters(), before, strict=True))
    with torch.no_grad():
        assert float(term) == pytest.approx(-0.5 * float(adversary.layers(rebuilt).mean()))


def test_half_precision_keeps_the_loss_in_float32(
    tmp_path: Path, embedder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found: list[dict[str, Tensor]] = []
    loss = autoencoder.AutoencoderTraining.loss

    def noted(self: Any, *args: Any) -> dict[str, Tensor]:
        found.append(loss(self, *args))
        return found[-1]

    monkeypatch.setattr(autoencoder.AutoencoderTraining, "loss", noted)
    train(tmp_path, *recipe(embedder), "trainer.precision=bf16-mixed")
    assert {value.dtype for values in found for value in values.values()} == {torch.float32}
    assert all(bool(value.isfinite()) for values in found for value in values.values())
    assert all(value.isfinite().all() for value in weights(tmp_path / "out").values())


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["autoencoder.embedding_weight=1"], "`autoencoder.embedding_model` is null"),
        (["autoencoder.embedding_model=nowhere.onnx"], "must be the path of an ONNX file.*nowhere"),
        (["autoencoder.adversarial_weight=-1"], "must not be negative"),
        (["autoencoder.validate_every=5"], "Set `held_out_people`"),
        (["autoencoder.patience=5"], "needs `validate_every`"),
        (["held_out_people=1.0"], r"`held_out_people`.*in \[0, 1\)"),
        (["autoencoder.equivariance=2"], r"`autoencoder.equivariance` must lie in \[0, 1\]"),
        (["warm_start=nowhere"], "`warm_start` must be a folder or a hub id"),
        (["warm_start=a/b", "init_from=c/d"], "leave one of them null"),
        (["crop=1.5"], r"`crop` must lie in \[0, 1\)"),
    ],
)
def test_wrong_keys_are_named(overrides: list[str], message: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=message):
        train(tmp_path, *overrides)


def test_the_experiment_composes_and_runs_small(
    tmp_path: Path, embedder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CELEBA_POOL", "some/folder")
    monkeypatch.setenv("FACE_ONNX", str(embedder))
    with initialize_config_dir(str(CONF), version_base="1.3"):
        config = compose("train_inpainter", overrides=["experiment=painter_faces"])
        assert (config.data.root, config.networks.autoencoder.latent_channels) == ("some/folder", 8)
        assert config.networks.autoencoder.sample_size == 4 * config.networks.unet.sample_size == 96
        paths = [f"out='{tmp_path / 'out'}'", f"work='{tmp_path / 'work'}'"]
        drawn = [
            "data=synthetic_training",
            "~data.root",
            "autoencoder.adversarial_from=3",
            "autoencoder.validate_every=3",
        ]
        config = compose("train_inpainter", overrides=["experiment=painter_faces", *drawn, *SMALL, *paths])
    assert (train_inpainter.run(config) / "model_index.json").is_file()


def test_shapes_stay_where_a_step_need_not_wait_for_them(tmp_path: Path) -> None:
    file = graph(tmp_path / "fixed.onnx", batch=2)
    images = torch.rand(2, 3, 32, 32)
    face = FaceLoss(str(file), POINTS, (32, 32), 1.0)
    assert not any(value.dtype == torch.int64 for value in face.state_dict().values())
    known = build(file, align=True, template=POINTS).eval()
    assert any(value.dtype == torch.int64 for value in known.trunk.state_dict().values())
    torch.testing.assert_close(face.embed(images), known.embed(images).detach())


def test_the_recogniser_of_the_loss_knows_people_at_the_painters_size(celeba_dev: Path, face_onnx: Path) -> None:
    data = CelebA(str(celeba_dev), max_identities=10, split=[1, 0, 0])
    data.setup()
    faces = collect(data, ["train"], 96, mirror=False)
    face = FaceLoss(str(face_onnx), data.template(), data.image_size, 1.0)
    similar = (found := face.embed(faces.images(torch.arange(len(faces.pixels))))) @ found.T
    people = [photo.identity for photo in data.photos["train"]]
    nearest = similar.fill_diagonal_(-1).argmax(1).tolist()
    assert sum(people[i] == people[j] for i, j in enumerate(nearest)) / len(people) > 0.95
