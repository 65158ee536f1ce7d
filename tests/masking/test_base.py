"""What the base promises whatever a method gives it: by hand, and at every edge."""

import pytest
import torch
from torch import nn

from privacy_exp.data.points import celeba_template
from privacy_exp.data.seeds import generator
from privacy_exp.masking.base import Masker, OwnArea
from privacy_exp.masking.budget import hide
from privacy_exp.masking.ensemble import Ensemble
from privacy_exp.masking.face_oval import FaceOval
from privacy_exp.masking.landmarks import LandmarkRegions
from privacy_exp.masking.random_patches import RandomPatches
from privacy_exp.masking.regions import _face_region, face_region
from privacy_exp.masking.saliency import Saliency
from privacy_exp.masking.target import target_labels
from privacy_exp.recognition.base import Recognizer, cover
from privacy_exp.types import Faces, UserError

POINTS = torch.tensor([[20.0, 24.0], [44.0, 24.0], [32.0, 34.0], [24.0, 46.0], [40.0, 46.0]])


class Given(Masker):
    """Scores that a test chooses."""

    blind = True
    scores = None

    def score(self, faces, recognizer, generators):
        del faces, recognizer, generators
        return self.scores


class GivenArea(OwnArea):
    """An area that a test chooses."""

    blind = True
    scores = None

    def score(self, faces, recognizer, generators):
        del faces, recognizer, generators
        return self.scores


class Two(Recognizer):
    """Knows two people by the brightness of the upper half; its BatchNorm would move in training mode."""

    def __init__(self) -> None:
        torch.manual_seed(0)
        trunk = nn.Sequential(nn.Conv2d(3, 4, 3, 2, 1), nn.BatchNorm2d(4), nn.AdaptiveAvgPool2d(2), nn.Flatten())
        super().__init__(trunk, nn.Linear(16, 2), 2, 32, "none")

    def prepare(self, images):
        return cover(images, 32)


def faces(n: int = 2, size: tuple[int, int] = (64, 64)) -> Faces:
    images = torch.rand(n, 3, *size, generator=torch.Generator().manual_seed(0))
    return Faces([f"f{i}" for i in range(n)], images)


def given(scores, **keys) -> Given:
    method = Given(**keys)
    method.scores = scores
    return method


@pytest.mark.parametrize(
    ("scores", "words"),
    [
        (None, "gave NoneType"),
        ([0.0], "gave list"),
        (torch.zeros(2, 64, 64), r"gave torch.float32 of shape \(2, 64, 64\)"),
        (torch.zeros(2, 1, 32, 64), r"shape \(2, 1, 64, 64\).* gave .*\(2, 1, 32, 64\)"),
        (torch.zeros(1, 1, 64, 64), r"\(1, 1, 64, 64\)"),
        (torch.zeros(2, 1, 64, 64, dtype=torch.int64), "torch.int64"),
        (torch.full((2, 1, 64, 64), torch.nan), "NaN or infinity"),
        (torch.zeros(2, 1, 64, 64).index_fill_(2, torch.tensor([3]), torch.inf), "NaN or infinity"),
    ],
)
def test_a_method_that_breaks_its_promise_is_named(scores, words):
    with pytest.raises(UserError, match=f"`score` of Given .*{words}"):
        given(scores).mask(faces(), mask_ratio=0.25)
    if isinstance(scores, torch.Tensor) and scores.is_floating_point() and scores.ndim == 4:
        with pytest.raises(UserError, match=f"{words}"):
            Saliency().mask(faces(), Two(), mask_ratio=0.25, scores=scores)


def test_an_area_is_0_and_1_and_nothing_between():
    method = GivenArea()
    method.scores = (torch.arange(2 * 64 * 64).view(2, 1, 64, 64) % 3 == 0).float()
    assert method.mask(faces()).equal(method.scores == 1)
    for values in (method.scores * 0.6, method.scores * 2, method.scores - 1):
        method.scores = values
        with pytest.raises(UserError, match=r"GivenArea must give 1 .* inherits `Masker`"):
            method.mask(faces())


@pytest.mark.parametrize("ratio", [0, 1])
def test_the_ends_of_the_range_are_allowed(ratio):
    masks = RandomPatches().mask(faces(), mask_ratio=ratio)
    assert masks.dtype == torch.bool
    assert masks.float().mean() == ratio


@pytest.mark.parametrize("keys", [{"granularity": 0}, {"granularity": -8}, {"region": "nose"}, {"region": ""}])
def test_bad_keys(keys):
    with pytest.raises(UserError, match=f"`{next(iter(keys))}`"):
        Given(**keys)
    assert Given(granularity=1).granularity == 1


def test_each_image_draws_for_itself_by_its_id_and_the_seed():
    draw = RandomPatches(patch_size=8)
    a = draw.mask(faces(3), mask_ratio=0.25)
    assert not a[0].equal(a[1])
    assert not a[1].equal(a[2])
    renamed = faces(3)._replace(ids=["f1", "f0", "f2"])
    assert draw.mask(renamed, mask_ratio=0.25).equal(a[[1, 0, 2]])
    assert not draw.mask(faces(3), mask_ratio=0.25, seed=1).equal(a)


def test_draws_and_ties_are_streams_of_their_own():
    """Each a function of (seed, id, purpose): a published mask is found again, and scores do not decide their ties."""
    drawn = []

    class Draws(Given):
        def score(self, faces, recognizer, generators):
            drawn.append([torch.rand((), generator=one) for one in generators])
            return torch.zeros(2, 1, 64, 64)

    masks = Draws().mask(faces(), mask_ratio=0.3, seed=4)
    assert drawn == [[torch.rand((), generator=generator(4, i, "score")) for i in ("f0", "f1")]]
    for mask, i in zip(masks, ("f0", "f1"), strict=True):
        assert mask[0].equal(hide(torch.zeros(64, 64), 0.3, 8, None, generator(4, i, "ties")))


@pytest.mark.parametrize("kind", [Given, GivenArea])
def test_the_network_reaches_the_method_and_known_scores_are_taken(kind):
    asked = []

    class Asks(kind):
        blind = False

        def score(self, faces, recognizer, generators):
            asked.append(recognizer)
            return torch.ones(2, 1, 64, 64)

    net, ratio = Two(), {"mask_ratio": 1} if kind is Given else {}
    method = Asks()
    assert method.mask(faces(), net, **ratio).all()
    assert asked == [net]
    known = torch.zeros(2, 1, 64, 64)
    known[:, :, :32] = 1
    half = method.mask(faces(), None, scores=known, **({"mask_ratio": 0.5} if ratio else {}))
    assert half.equal(known == 1)
    assert asked == [net], "nothing is asked where the scores are known"
    with pytest.raises(UserError, match=r"`score` of Asks .* gave NaN"):
        method.mask(faces(), None, scores=known / 0, **ratio)


@pytest.mark.parametrize("ratio", [True, False, -0.01, 1.01, float("nan")])
def test_a_share_is_a_number_from_0_to_1(ratio):
    with pytest.raises(UserError, match=rf"`mask_ratio` must be a number in \[0, 1\], but got {ratio}"):
        given(torch.zeros(2, 1, 64, 64)).mask(faces(), mask_ratio=ratio)


def test_ties_follow_the_seed_and_the_id():
    flat = given(torch.zeros(2, 1, 64, 64))
    a = flat.mask(faces(), mask_ratio=0.25)
    assert a.equal(flat.mask(faces(), mask_ratio=0.25, seed=0))
    assert not a.equal(flat.mask(faces(), mask_ratio=0.25, seed=1))
    assert not a[0].equal(a[1])


def test_a_guided_method_says_what_it_needs():
    with pytest.raises(UserError, match=r"Saliency explains a recogniser.*recognition\.checkpoint"):
        Saliency().rank(faces(), None, 0)


@pytest.mark.parametrize("training", [True, False])
def test_without_labels_the_likeliest_identity_is_explained_and_the_network_stays(training):
    net, photos = Two().train(training), faces(6)
    before = net.trunk[1].running_mean.clone()
    labels = target_labels(photos, net)
    assert net.trunk[1].running_mean.equal(before)
    assert net.training == training
    with torch.no_grad():
        logits = net.eval()(photos.images)
    assert labels.tolist() == [int(b > a) for a, b in logits.tolist()]
    assert len(set(labels.tolist())) == 2 or (logits[:, 0] != logits[:, 1]).all()
    assert target_labels(photos._replace(labels=1 - labels), net).equal(1 - labels), "known ones are taken"


@pytest.mark.parametrize("method", [FaceOval(), LandmarkRegions()])
def test_faces_without_landmarks_are_found_or_lie_where_celeba_has_them(method, monkeypatch):
    from privacy_exp.data.drawn.drawing import draw

    drawn = torch.from_numpy(draw(0, 0, 0).image).permute(2, 0, 1)[None].float() / 255
    for image in (drawn, torch.rand(1, 3, 64, 64)):
        height, width = image.shape[2:]
        masks = method.mask(Faces(["a"], image), mask_ratio=0.25)
        assert int(masks.sum()) == round(0.25 * height * width)


@pytest.mark.parametrize(("size", "columns"), [((32, 64), (16, 48)), ((64, 64), (0, 64))])
def test_the_seen_region_is_the_recognisers_own_crop(size, columns):
    """`cover` resizes the short side to 32 and cuts the centre: of 64 columns at equal height the middle 32."""
    net, photos = Two().eval(), faces(2, size)
    method = given(torch.rand(2, 1, *size), region="seen", granularity=4)
    expected = torch.zeros(size, dtype=torch.bool)
    expected[:, columns[0] : columns[1]] = True
    assert method.allowed(photos, net)[1].equal(expected)
    share = (columns[1] - columns[0]) / 64
    assert method.capacity(photos, net) == [share, share]
    masks = method.mask(photos, net, mask_ratio=share)
    assert masks.equal(expected.expand(2, 1, *size)), "the ratio is relative to the frame"
    with pytest.raises(UserError, match=r"give one with recognition\.checkpoint"):
        method.mask(photos, mask_ratio=0.1)


def test_capacity_by_hand():
    assert given(None).capacity(faces(2)) == [1.0, 1.0]
    photos = faces(2)._replace(landmarks=torch.stack([POINTS, POINTS + 200]).clamp(max=110))
    inside, outside = given(None, region="face").capacity(photos)
    assert inside == int(face_region(POINTS, 64, 64).sum()) / 64**2
    assert outside == 0


def test_the_face_region_is_found_where_the_data_has_no_landmarks(caplog):
    from privacy_exp.data.drawn.drawing import draw

    drawn = draw(0, 0, 0, size=160)
    image = torch.from_numpy(drawn.image).permute(2, 0, 1)[None].float() / 255
    known = face_region(torch.tensor(drawn.landmarks).float(), 160, 160)
    (found,) = given(None, region="face").allowed(Faces(["a"], image))
    overlap = (found & known).sum() / (found | known).sum()
    assert overlap > 0.7
    assert not caplog.text
    (guessed,) = given(None, region="face").allowed(Faces(["nobody"], torch.zeros(1, 3, 64, 64)))
    assert guessed.equal(face_region(celeba_template(64, 64), 64, 64))
    assert "no face is found in 1 of 1 photos without landmarks, such as nobody" in caplog.text


@pytest.mark.parametrize("value", [1e6, -1e6, 128.5, -64.5, float("nan"), float("inf")])
def test_landmarks_far_from_the_frame_are_named_and_take_no_memory(value):
    points = POINTS.clone()
    points[1, 0] = value
    with pytest.raises(UserError, match="`landmarks` must lie on the frame of 64x64"):
        face_region(points, 64, 64)


@pytest.mark.parametrize("value", [128.0, -64.0])
def test_landmarks_one_frame_away_are_taken(value):
    points = POINTS.clone()
    points[1, 0] = value
    assert face_region(points, 64, 64).any()


def test_how_far_landmarks_may_lie_goes_by_the_frames_own_sides():
    points = POINTS.clone()
    points[1] = torch.tensor([-100.0, 24.0])
    assert face_region(points, 64, 100).any()
    points[1] = torch.tensor([44.0, -100.0])
    with pytest.raises(UserError, match="`landmarks` must lie on the frame of 100x64"):
        face_region(points, 64, 100)


def test_scores_are_filed_by_class_code_and_members(monkeypatch):
    assert Given().scoring_keys() != GivenArea().scoring_keys() | {"source": Given().scoring_keys()["source"]}
    both = [Ensemble({"a": Saliency(target), "b": FaceOval()}).scoring_keys() for target in ("loss", "logit")]
    assert both[0] != both[1]
    assert set(Given(granularity=2, region="face").scoring_keys()) == {"class", "source"}, "these come after scoring"
    fine = Ensemble({"a": Saliency("loss", granularity=1, region="face"), "b": FaceOval()})
    assert fine.scoring_keys() == both[0]
    before = Saliency().scoring_keys()
    monkeypatch.setattr("privacy_exp.masking.base.sources", lambda kind: "edited")
    assert Saliency().scoring_keys() != before


def test_a_region_is_computed_once_per_image():
    _face_region.cache_clear()
    photos = faces(3)._replace(landmarks=torch.stack([POINTS, POINTS + 1, POINTS + 2]))
    method = given(torch.rand(3, 1, 64, 64), region="face")
    method.capacity(photos)
    method.mask(photos, mask_ratio=0.2)
    for points in photos.landmarks:
        face_region(points, 64, 64)
    assert _face_region.cache_info().misses == 3
