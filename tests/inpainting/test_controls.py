"""Controls, against SciPy, hand counts and closed forms."""

import numpy as np
import pytest
import torch
from scipy.ndimage import gaussian_filter

from privacy_exp.inpainting.controls import Blackout, Blur, Identity, MeanFill, OpencvTelea, Pixelate
from privacy_exp.inpainting.k_same import KSame, group
from privacy_exp.types import Faces
from tests.inpainting.conftest import some_faces

EVERYTHING = torch.ones(2, 1, 24, 18, dtype=torch.bool)


@pytest.fixture
def faces() -> Faces:
    return some_faces(2, 24, 18)


def test_identity_and_blackout(faces: Faces) -> None:
    assert torch.equal(Identity()(faces, EVERYTHING, 0), faces.images)
    assert Blackout()(faces, EVERYTHING, 0).abs().max() == 0


def test_mean_fill_reads_kept_pixels_alone(faces: Faces) -> None:
    masks = torch.zeros(2, 1, 24, 18, dtype=torch.bool)
    masks[0, :, :12] = True
    masks[1] = True
    result = MeanFill()(faces, masks, 0)
    assert torch.allclose(result[0, :, 3, 5], faces.images[0, :, 12:].mean(dim=(1, 2)))
    assert (result[1] == 0.5).all()
    changed = torch.where(masks, 1 - faces.images, faces.images)
    assert torch.equal(MeanFill()(Faces(faces.ids, changed), masks, 0), result)


@pytest.mark.parametrize("sigma", [0.05, 0.2])
def test_blur_is_scipys(faces: Faces, sigma: float) -> None:
    result = Blur(sigma)(faces, EVERYTHING, 0)
    pixels = sigma * 18
    radius = int(np.ceil(4 * pixels))
    expected = gaussian_filter(faces.images.double().numpy(), pixels, mode="nearest", axes=(2, 3), radius=radius)
    assert np.abs(result.numpy() - expected).max() < 1e-5


def test_pixelate_by_hand() -> None:
    image = torch.arange(9.0).reshape(1, 1, 3, 3).expand(1, 3, 3, 3) / 9
    result = Pixelate(2)(Faces(["a"], image), torch.ones(1, 1, 3, 3, dtype=torch.bool), 0)
    expected = torch.tensor([[2.0, 2.0, 3.5], [2.0, 2.0, 3.5], [6.5, 6.5, 8.0]]) / 9
    assert torch.allclose(result[0, 0], expected)


def test_telea_grows_a_plain_colour_and_greys_what_it_cannot() -> None:
    image = torch.tensor([0.2, 0.4, 0.8])[None, :, None, None].expand(2, 3, 24, 18).clone()
    masks = torch.zeros(2, 1, 24, 18, dtype=torch.bool)
    masks[0, :, 6:12, 6:12] = True
    masks[1] = True
    secret = torch.where(masks, 1.0, image)
    result = OpencvTelea(3.0)(Faces(["a", "b"], secret), masks, 0)
    assert torch.allclose(result[0], image[0], atol=2.5 / 255)  # OpenCV's own rounding is two grey levels
    assert (result[1] == 0.5).all()


def people() -> Faces:
    """Eight identities of two photos; identity i is of the grey i / 10, its photos 0.01 above and below."""
    labels = torch.arange(8).repeat_interleave(2)
    greys = labels / 10 + torch.tensor([0.01, -0.01]).repeat(8)
    return Faces([f"p{i}" for i in range(16)], greys[:, None, None, None].expand(16, 3, 4, 4).clone(), labels)


def test_k_same_by_hand() -> None:
    inpainter = KSame(3)
    batch = people()
    inpainter.fit([Faces([batch.ids[i]], batch.images[i : i + 1], batch.labels[i : i + 1]) for i in range(16)])
    result = inpainter(batch, torch.ones(16, 1, 4, 4, dtype=torch.bool), 0)
    # 0, 1, 2 together; of the five left fewer than 2 × 3 remain, so that 3 .. 7 form the last group.
    expected = torch.tensor([0.1] * 6 + [0.5] * 10)
    assert torch.allclose(result[:, 0, 0, 0], expected, atol=1e-6)
    unlabelled = Faces(["x"], torch.full((1, 3, 4, 4), 0.24))
    assert inpainter(unlabelled, torch.ones(1, 1, 4, 4, dtype=torch.bool), 0).mean() == pytest.approx(0.1)


def test_k_same_furthest_and_select_by_hand() -> None:
    whole, batch = torch.ones(16, 1, 4, 4, dtype=torch.bool), people()
    far = KSame(3, shown="furthest")
    far.fit([batch])
    assert torch.allclose(far(batch, whole, 0)[:, 0, 0, 0], torch.tensor([0.5] * 6 + [0.1] * 10), atol=1e-6)
    odd = batch._replace(attributes={"Odd": batch.labels % 2 == 1})
    apart = KSame(4, select="Odd")
    apart.fit([odd])
    shown = {
        int(label): round(float(v), 4) for label, v in zip(odd.labels, apart(odd, whole, 0)[:, 0, 0, 0], strict=True)
    }
    means = batch.images[:, 0, 0, 0]
    for value in (0, 1):
        own = [float(means[batch.labels == label].mean()) for label in range(value, 8, 2)]
        assert {shown[label] for label in range(value, 8, 2)} == {round(sum(own) / 4, 4)}
    with pytest.raises(ValueError, match=r"`select` must be an attribute of the data \(Odd\), but got 'Male'"):
        KSame(2, select="Male").fit([odd])
    with pytest.raises(
        ValueError, match="as many training identities of each value of `select`, but Odd = False has 4"
    ):
        KSame(5, select="Odd").fit([odd])


def test_groups_hold_at_least_k() -> None:
    points = torch.rand(23, 5)
    for k in (2, 3, 5, 12, 23):
        sizes = torch.bincount(group(points, k))
        assert sizes.min() >= k
        assert sizes.sum() == 23
        assert all(size == k for size in sizes[:-1])


def test_greedy_groups_are_near() -> None:
    points = torch.tensor([[0.0], [10.0], [0.1], [10.1], [20.0], [20.1]])
    groups = group(points, 2).tolist()
    assert all(groups[a] == groups[b] for a, b in [(0, 2), (1, 3), (4, 5)])
    assert len(set(groups)) == 3


def test_k_same_says_what_it_needs(faces: Faces) -> None:
    masks = torch.ones(16, 1, 4, 4, dtype=torch.bool)
    with pytest.raises(RuntimeError, match="call `fit"):
        KSame(2)(people(), masks, 0)
    with pytest.raises(ValueError, match="have no labels"):
        KSame(2).fit([people()._replace(labels=None)])
    with pytest.raises(ValueError, match="`k` = 9 needs as many training identities, but got 8"):
        KSame(9).fit([people()])
    fitted = KSame(2)
    fitted.fit([people()])
    with pytest.raises(ValueError, match="size"):
        fitted(faces, EVERYTHING, 0)
    stranger = people()._replace(labels=torch.full((16,), 11))
    with pytest.raises(ValueError, match=r"labels \[11\]"):
        fitted(stranger, masks, 0)


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: Blur(0), "`sigma`"),
        (lambda: Blur(1.5), "`sigma`"),
        (lambda: Pixelate(0), "`block`"),
        (lambda: OpencvTelea(0.0), "`radius`"),
        (lambda: KSame(2, shown="near"), "`shown` must be one of own, furthest"),
        (lambda: KSame(1), "`k` must be a whole number of at least 2"),
    ],
)
def test_values_out_of_range(make, says) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(ValueError, match=says):
        make()
