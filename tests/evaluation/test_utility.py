"""Utility measures: closed forms, other libraries, and pictures made by hand."""

import shutil
from importlib.util import find_spec

import numpy as np
import pandas as pd
import pytest
import torch
from scipy.linalg import sqrtm
from torchmetrics.functional.image import peak_signal_noise_ratio, structural_similarity_index_measure

from privacy_exp.cache.store import Store
from privacy_exp.data.drawn.faces import DrawnFaces
from privacy_exp.evaluation.measure import Scene
from privacy_exp.evaluation.utility import inception
from privacy_exp.evaluation.utility.attributes import Attributes, balanced_accuracy
from privacy_exp.evaluation.utility.detection import Detection, landmark_error
from privacy_exp.evaluation.utility.frechet import frechet_distance, frechet_metric
from privacy_exp.evaluation.utility.inception import FID, KID
from privacy_exp.evaluation.utility.lpips import LPIPS
from privacy_exp.evaluation.utility.pixels import Pixels, pixel_scores, psnr
from privacy_exp.evaluation.utility.sanity import Sanity
from privacy_exp.recognition.base import Recognizer
from privacy_exp.recognition.detection import Detections
from privacy_exp.runs.folder import RunFolder


class Nobody(Recognizer):
    """A recogniser that no utility measure asks."""

    def __init__(self):
        super().__init__(torch.nn.Flatten(), torch.nn.Linear(3, 2), 2, 8, "none")

    def prepare(self, images):
        raise AssertionError("utility is not what the recogniser says")


@pytest.fixture(scope="module")
def faces():
    """Eight drawn people, with test photos 32 pixels wide."""
    data = DrawnFaces(identities=8, photos_per_identity=10, image_size=32)
    data.setup()
    return data


@pytest.fixture
def scene(tmp_path, faces):
    """Makes a finished run of the test photos: `change` turns originals and masks into results."""

    def make(change, share=0.5, data=faces):
        folder = RunFolder(tmp_path / "run", "png")
        photos = data.faces(data.photos["test"])
        masks = torch.zeros(len(photos.ids), 1, *data.image_size, dtype=torch.bool)
        masks[:, :, : round(share * data.image_size[0])] = True
        for kind, images in (("original", photos.images), ("masks", masks), ("results", change(photos.images, masks))):
            folder.save(kind, photos.ids, photos.labels, images)
        table = pd.DataFrame(
            {
                "image_id": photos.ids,
                "identity": [data.identities[i] for i in photos.labels],
                **{f"attribute/{name}": values.numpy() for name, values in (photos.attributes or {}).items()},
            }
        )
        store = Store(tmp_path / "store")
        return Scene(RunFolder(tmp_path / "run"), table, data.identities, Nobody(), store, data=data)

    return make


def black(images, masks):
    return torch.where(masks, 0.0, images)


def unchanged(images, masks):
    return images


def test_grey_against_grey_is_a_closed_form():
    a, b = torch.full((1, 3, 24, 24), 0.4), torch.full((1, 3, 24, 24), 0.6)
    masks = torch.zeros(1, 1, 24, 24, dtype=torch.bool)
    masks[..., 12:] = True
    found = pixel_scores(a, b, masks)
    c1 = 0.01**2
    for place in ("inside", "outside"):
        assert float(found[f"ssim_{place}"]) == pytest.approx((2 * 0.24 + c1) / (0.16 + 0.36 + c1), abs=1e-3)
        assert float(found[f"mse_{place}"]) == pytest.approx(0.04)
    assert psnr(found["mse_inside"].double().numpy(), np.array(["p"])).value == pytest.approx(-10 * np.log10(0.04))


def test_under_a_mask_of_everything_the_figures_are_torchmetrics_own(scene):
    run = scene(lambda images, masks: images.flip(3), share=1.0)
    found = Pixels(batch_size=7).measure(run, "utility/pixels").metrics
    originals = run.folder.read([path for path, _ in run.folder.list("original").values()])
    results = run.folder.read([path for path, _ in run.folder.list("results").values()])
    theirs = peak_signal_noise_ratio(results, originals, data_range=1.0)
    assert found["utility/psnr_inside"].value == pytest.approx(float(theirs), abs=1e-4)
    assert found["utility/psnr_inside"].low < found["utility/psnr_inside"].value < found["utility/psnr_inside"].high
    maps = structural_similarity_index_measure(results, originals, data_range=1.0, return_full_image=True)[1]
    assert found["utility/ssim_inside"].value == pytest.approx(float(maps.mean()), abs=1e-5)
    assert found["utility/ssim_outside"].value is None
    assert "no image has a kept pixel" in found["utility/psnr_outside"].reason


def test_what_is_kept_is_told_apart_from_what_is_painted(scene):
    found = Pixels().measure(scene(black), "utility/pixels")
    assert found.metrics["utility/psnr_outside"].value is None
    assert "infinite" in found.metrics["utility/psnr_outside"].reason
    assert found.metrics["utility/psnr_inside"].value < 15
    assert found.metrics["utility/ssim_inside"].value < 0.3 < 0.8 < found.metrics["utility/ssim_outside"].value
    assert (found.columns["utility/mse_outside"] == 0).all()


def test_pairs_without_masks_are_compared_whole(scene):
    run = scene(lambda images, masks: images.flip(3), share=1.0)
    masked = Pixels().measure(run, "utility/pixels").metrics
    shutil.rmtree(run.folder.path / "masks")
    assert Pixels().measure(run, "utility/pixels").metrics == masked


def test_black_and_flat_results_are_counted(scene):
    def change(images, masks):
        results = images.clone()
        results[:3] = black(images, masks)[:3]
        results[3] = torch.where(masks[3], 0.5, images[3])
        return results

    found = Sanity().measure(scene(change), "utility/sanity").metrics
    n = found["utility/black_share"].n
    assert found["utility/black_share"].value == pytest.approx(3 / n)
    assert found["utility/flat_share"].value == pytest.approx(1 / n)


def test_landmark_error_by_hand():
    points = torch.tensor([[10.0, 10], [40, 10], [25, 25], [15, 40], [35, 40]]).expand(4, 5, 2)
    moved = points.clone()
    moved[0, :, 0] += 3  # all five by 3 of 30 pixels
    moved[1, 2] += torch.tensor([3.0, 4.0])  # the nose by 5 pixels
    boxes = torch.zeros(4, 4)
    before = Detections(torch.tensor([True, True, True, False]), points, boxes)
    after = Detections(torch.tensor([True, True, False, True]), moved, boxes)
    error = landmark_error(before, after)
    assert error[:2].tolist() == pytest.approx([0.1, 5 / 30 / 5])
    assert error[2:].isnan().all()


def test_real_faces_are_found_until_they_are_blacked_out(scene, celeba_dev):
    from privacy_exp.data.celeba import CelebA

    data = CelebA(str(celeba_dev), max_identities=4, max_test_images=4)
    data.setup()
    same = Detection().measure(scene(unchanged, data=data), "utility/detection")
    assert same.metrics["utility/detection_rate"].value == 1
    assert same.metrics["utility/landmark_error"].value == 0
    gone = Detection().measure(scene(black, share=1.0, data=data), "utility/detection").metrics
    assert gone["utility/detection_rate"].value == 0
    assert gone["utility/detection_rate_original"].value == 1
    assert gone["utility/landmark_error"].value is None
    assert "no photo with a face found in both" in gone["utility/landmark_error"].reason


def test_attributes_agree_on_equal_pictures_and_not_on_black_ones(scene, tmp_path):
    measure = Attributes(epochs=25, image_size=32, gate=0.6, fewest_photos=8)
    same = measure.measure(scene(unchanged), "utility/attributes")
    assert same.details["counted"], "a classifier that learnt nothing would test nothing"
    assert same.metrics["utility/attribute_agreement"].value == 1
    assert same.metrics["utility/attribute_accuracy"].value > 0.6
    assert list((tmp_path / "store" / "attribute_classifier").glob("*/classifier.safetensors"))
    gone = measure.measure(scene(black, share=1.0), "utility/attributes")
    assert gone.metrics["utility/attribute_agreement"].value < 0.95
    assert gone.details == same.details, "the classifier came from the store, the originals are the same"
    flagged = {name for name, metric in same.metrics.items() if metric.reason == "below_gate"}
    counted = {f"utility/attribute/{name}" for name in same.details["counted"]}
    assert not flagged & counted


def test_balanced_accuracy_equals_scikit_learn():
    from sklearn.metrics import balanced_accuracy_score

    rng = np.random.default_rng(0)
    truth, said = rng.random(50) < 0.2, rng.random(50) < 0.5
    assert balanced_accuracy(said, truth) == pytest.approx(balanced_accuracy_score(truth, said))
    assert balanced_accuracy(said, np.ones(50, dtype=bool)) is None


def test_without_attributes_or_training_photos_there_is_a_reason(scene):
    from dataclasses import replace

    run = scene(unchanged)
    elsewhere = Attributes().measure(replace(run, data=None), "utility/attributes").metrics
    assert elsewhere["utility/attribute_agreement"].value is None
    assert "no training photos" in elsewhere["utility/attribute_agreement"].reason
    rare = Attributes(fewest_photos=10_000).measure(run, "utility/attributes").metrics
    assert "enough training photos" in rare["utility/attribute_accuracy"].reason


class Colours(torch.nn.Module):
    """Stands in for Inception: mean and deviation of each channel."""

    num_features = 6

    def forward(self, images):
        assert images.dtype == torch.uint8
        pixels = images.double().flatten(2) / 64
        return torch.cat([pixels.mean(2), pixels.std(2)], dim=1)


@pytest.fixture
def with_colours(monkeypatch, tmp_path):
    """A run's Inception distances, of colours in place of Inception's features."""
    weights = tmp_path / "weights.pth"
    weights.touch()
    monkeypatch.setattr(inception, "inception_network", lambda weights: Colours())
    monkeypatch.setattr(inception, "missing", lambda weights, measure: None)
    return str(weights)


def features(run, kind):
    images = run.folder.read([path for path, _ in run.folder.list(kind).values()])
    return Colours()((images * 255).round().byte())


def test_kid_is_the_unbiased_estimate(scene, with_colours):
    run = scene(lambda images, masks: images * 0.7)
    found = KID(with_colours).measure(run, "utility/kid")
    x, y = (features(run, kind).numpy() for kind in ("original", "results"))
    n = len(x)
    xx, yy, xy = ((a @ b.T / 6 + 1) ** 3 for a, b in ((x, x), (y, y), (x, y)))
    within = sum((k.sum() - np.trace(k)) / (n * (n - 1)) for k in (xx, yy))
    assert found.metrics["utility/kid"].value == pytest.approx(within - 2 * xy.mean())
    assert found.metrics["utility/kid"].n == n == found.details["n"]
    assert "same photos" in found.details["reference"]


def frechet_by_square_root(x, y):
    """|μ_x − μ_y|² + tr(Σ_x + Σ_y − 2 (Σ_x Σ_y)^½), as it is written in Heusel et al., 2017."""
    cov_x, cov_y = np.cov(x, rowvar=False), np.cov(y, rowvar=False)
    return np.sum((x.mean(0) - y.mean(0)) ** 2) + np.trace(cov_x + cov_y - 2 * sqrtm(cov_x @ cov_y).real)


@pytest.mark.parametrize("n", [40, 5])
def test_frechet_distance_equals_the_root_of_the_product_of_covariances(n):
    rng = np.random.default_rng(n)
    x, y = rng.normal(size=(40, 6)), rng.normal(1, 2, size=(n, 6)) @ rng.normal(size=(6, 6))
    assert frechet_distance(x, y) == pytest.approx(frechet_by_square_root(x, y), rel=1e-5)


def test_frechet_distance_of_known_gaussians():
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=(20_000, 3)), 1 + 2 * rng.normal(size=(20_000, 3))
    assert frechet_distance(a, b) == pytest.approx(6, abs=0.2)  # |1, 1, 1|² and, per axis, 1 + 4 - 2 · 2
    assert frechet_distance(a, a) == pytest.approx(0, abs=1e-9)


def test_frechet_metric_leaves_out_what_could_not_be_embedded_and_needs_two_people():
    rng = np.random.default_rng(1)
    a, b = rng.normal(size=(12, 3)), rng.normal(size=(12, 3))
    people = np.repeat(["x", "y", "z"], 4)
    b[2] = np.nan
    kept = np.arange(12) != 2
    found = frechet_metric(a, b, people)
    assert found.value == pytest.approx(frechet_distance(a[kept], b[kept]))
    assert found.n == 11
    left_out = [frechet_distance(a[kept & (people != who)], b[kept & (people != who)]) for who in "xyz"]
    error = np.sqrt(2 / 3 * np.sum((np.array(left_out) - np.mean(left_out)) ** 2))  # (G - 1) / G · Σ (θ_g - θ̄)²
    assert (found.low, found.high) == pytest.approx((max(0, found.value - 1.96 * error), found.value + 1.96 * error))
    alone = frechet_metric(a[:4], b[:4], people[:4])
    assert alone.value is None
    assert "two people" in alone.reason


def test_fid_equals_the_distance_of_gaussians_and_needs_many_images(scene, with_colours):
    run = scene(lambda images, masks: images * 0.7)
    found = FID(with_colours, fewest_images=2).measure(run, "utility/fid").metrics["utility/fid"]
    x, y = (features(run, kind).double().numpy() for kind in ("original", "results"))
    assert found.value == pytest.approx(frechet_by_square_root(x, y), rel=1e-3)
    few = FID(with_colours).measure(run, "utility/fid").metrics["utility/fid"]
    assert few.value is None
    assert "5000 needed" in few.reason
    assert "utility=kid" in few.reason


def test_inception_itself_takes_a_file_of_weights(scene, tmp_path, monkeypatch):
    """Random weights: what is shown is the way from the file to a figure, which grows with the change."""
    module = pytest.importorskip(
        "torch_fidelity.feature_extractor_inceptionv3", reason="needs pip install 'privacy-exp[fidelity]'"
    )
    with monkeypatch.context() as patch:
        patch.setattr(module.torch, "load", lambda *args, **keys: {})
        patch.setattr(module.FeatureExtractorInceptionV3, "load_state_dict", lambda self, state: None)
        torch.manual_seed(0)
        net = module.FeatureExtractorInceptionV3("inception-v3-compat", ["2048"], "none")
    for layer in net.modules():  # torch's own start would let everything fade before the last layer
        if isinstance(layer, torch.nn.Conv2d):
            torch.nn.init.kaiming_normal_(layer.weight)
    weights = tmp_path / "weights.pth"
    torch.save(net.state_dict(), weights)
    data = DrawnFaces(identities=2, photos_per_identity=5, image_size=32)
    data.setup()
    figures = [
        KID(str(weights)).measure(scene(change, data=data), "utility/kid").metrics["utility/kid"].value
        for change in (lambda images, masks: images * 0.95, lambda images, masks: images * 0.2)
    ]
    assert figures[0] < figures[1]


def test_without_weights_there_is_a_reason(scene):
    run = scene(unchanged)
    for measure, name in ((KID(), "kid"), (LPIPS(), "lpips")):
        metric = measure.measure(run, f"utility/{name}").metrics[f"utility/{name}"]
        assert metric.value is None
        assert f"utility.{name}.weights=FILE" in metric.reason
    for kind in (KID, FID, LPIPS):
        with pytest.raises(FileNotFoundError, match="must be a file"):
            kind(weights="/nowhere/weights.pth")


@pytest.fixture(scope="module")
def alexnet(tmp_path_factory):
    """Random weights in the place of torchvision's."""
    from torchvision.models import alexnet

    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("weights") / "alexnet.pth"
    net = alexnet(weights=None)
    torch.save({key: value for key, value in net.state_dict().items() if key.startswith("features")}, path)
    return path, net.features


def test_lpips_by_hand(scene, alexnet):
    """Unit-normalised features of five layers, squared differences weighted by the linear layers."""
    from torchmetrics.functional.image import lpips as theirs

    faces64 = DrawnFaces(identities=2, photos_per_identity=6, image_size=64)
    faces64.setup()
    path, features = alexnet
    run = scene(black, data=faces64)
    found = LPIPS(weights=str(path)).measure(run, "utility/lpips")
    linear = torch.load(theirs.__file__.replace("lpips.py", "lpips_models/alex.pth"), "cpu", weights_only=True)
    originals, results = (
        (run.folder.read([path for path, _ in run.folder.list(kind).values()]) * 2 - 1)
        for kind in ("original", "results")
    )
    shift, scale = torch.tensor([-0.030, -0.088, -0.188]), torch.tensor([0.458, 0.448, 0.450])
    total = torch.zeros(len(originals))
    a, b = ((images - shift.view(1, 3, 1, 1)) / scale.view(1, 3, 1, 1) for images in (originals, results))
    with torch.no_grad():
        for number, layer in enumerate(features):
            a, b = layer(a), layer(b)
            if number in (1, 4, 7, 9, 11):  # the five ReLUs
                weight = linear[f"lin{(1, 4, 7, 9, 11).index(number)}.model.1.weight"]
                squared = (a / a.norm(dim=1, keepdim=True) - b / b.norm(dim=1, keepdim=True)).nan_to_num() ** 2
                total += (squared * weight).sum(1).mean((1, 2))
    assert found.columns["utility/lpips"] == pytest.approx(total.numpy(), rel=1e-3)
    assert found.metrics["utility/lpips"].value == pytest.approx(float(total.mean()), rel=1e-3)
    same = LPIPS(weights=str(path)).measure(scene(unchanged, data=faces64), "utility/lpips")
    assert same.metrics["utility/lpips"].value == pytest.approx(0, abs=1e-6)


def test_other_weights_are_refused(scene, tmp_path):
    wrong = tmp_path / "wrong.pth"
    torch.save({"a": torch.zeros(1)}, wrong)
    code = tmp_path / "code.pth"
    torch.save(Nobody(), code)
    run = scene(unchanged)
    for path in (wrong, code):
        with pytest.raises(ValueError, match=r"alexnet-owt-7be5be79\.pth, but .* does not"):
            LPIPS(weights=str(path)).measure(run, "utility/lpips")
    if find_spec("torch_fidelity") is None:
        pytest.skip("Inception's part needs pip install 'privacy-exp[fidelity]'")
    for path in (wrong, code):
        with pytest.raises(ValueError, match=r"torch-fidelity's weights-inception"):
            KID(str(path)).measure(run, "utility/kid")


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: Attributes(image_size=20), "`image_size` must be a positive multiple of 16"),
        (lambda: Attributes(epochs=0), "`epochs` must be at least 1"),
        (lambda: Attributes(gate=0.3), r"`gate` must lie in \[0.5, 1\]"),
        (lambda: LPIPS(net="resnet"), "`net` must be one of alex, vgg, squeeze"),
        (lambda: FID(fewest_images=1), "`fewest_images` must be at least 2"),
    ],
)
def test_settings_that_make_no_sense_say_so(make, words):
    with pytest.raises(ValueError, match=words):
        make()
