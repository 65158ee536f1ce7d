"""What the base promises: broken returns are named, kept pixels are kept, seeds and draws reach the generators."""

from typing import Any

import pytest
import torch
from torch import Generator

from privacy_exp import UserError
from privacy_exp.data.seeds import generator
from privacy_exp.inpainting.base import TOLERANCE, Inpainter
from privacy_exp.inpainting.sanity import SanityError
from privacy_exp.types import Faces, Images, Masks

FACES = Faces(["a", "b"], torch.full((2, 3, 8, 6), 0.25))
MASKS = torch.zeros(2, 1, 8, 6, dtype=torch.bool)
MASKS[:, :, 2:6, 1:4] = True


class Mine(Inpainter):
    """Returns what it is given, as somebody's own inpainter might; unchecked, as outside of these tests."""

    def __init__(self, returned: Any = None) -> None:
        self.returned = returned

    def repaint(self, faces, masks, generators):  # type: ignore[no-untyped-def]
        return self.returned


class Noise(Inpainter):
    """Uniform noise from each image's own generator."""

    def repaint(self, faces: Faces, masks: Masks, generators: list[Generator]) -> Images:
        return torch.stack([torch.rand(faces.images.shape[1:], generator=one) for one in generators])


@pytest.mark.parametrize(
    ("returned", "says"),
    [
        (None, "`Mine.repaint` must return floating-point images.*but returned a NoneType"),
        ([1, 2], "but returned a list"),
        ((FACES.images * 255).to(torch.uint8), r"but returned torch.uint8 of the shape \(2, 3, 8, 6\)"),
        (FACES.images[:1], r"of the shape \(2, 3, 8, 6\) of the faces, but returned torch.float32 of .*\(1, 3, 8, 6\)"),
        (FACES.images.transpose(2, 3), r"\(2, 3, 6, 8\)"),
        (FACES.images[:, :1], r"\(2, 1, 8, 6\)"),
        (FACES.images * 255, r"`Mine.repaint` must return images in \[0, 1\], but .* between 63.75 and 63.75"),
        (FACES.images - 0.26, "between -0.01 and -0.01"),
        (FACES.images + 0.752, "between 1.002 and 1.002"),
    ],
)
def test_what_an_own_inpainter_gets_wrong_is_named(returned: Any, says: str) -> None:
    with pytest.raises(UserError, match=says):
        Mine(returned)(FACES, MASKS)


def test_nan_names_the_class_and_the_image() -> None:
    broken = FACES.images.clone()
    broken[1, 0, 3, 2] = torch.inf
    with pytest.raises(SanityError, match=r"Mine returned NaN or infinite pixels for b\."):
        Mine(broken)(FACES, MASKS)


def test_only_hidden_pixels_must_be_in_range_unless_all_are_taken() -> None:
    wild = FACES.images.clone()
    wild[:, :, 0, 0] = 7.0
    result = Mine(wild)(FACES, MASKS)
    assert torch.equal(result, FACES.images)
    taking = Mine(wild)
    taking.keep_pixels = False
    with pytest.raises(UserError, match=r"between 0\.25 and 7"):
        taking(FACES, MASKS)


def test_half_precision_and_edges_of_the_range_are_fine() -> None:
    edges = torch.zeros(2, 3, 8, 6, dtype=torch.float16)
    edges[1] = 1
    result = Mine(edges)(FACES, MASKS)
    assert result.dtype == torch.float32
    assert result[0, :, 3, 2].tolist() == [0, 0, 0]
    assert result[1, :, 3, 2].tolist() == [1, 1, 1]
    assert result[:, :, 0, 0].unique().tolist() == [0.25]
    whole = Mine(edges)
    whole.keep_pixels = False
    assert torch.equal(whole(FACES, MASKS), edges.float()), "in the faces' own precision"


def test_an_inpainter_sees_the_faces_and_the_mask() -> None:
    seen = []

    class Looks(Mine):
        def repaint(self, faces: Faces, masks: Masks, generators: list[Generator]) -> Images:
            seen.append((faces, masks, len(generators)))
            return faces.images

    Looks()(FACES, MASKS)
    ((faces, masks, count),) = seen
    assert (faces, count) == (FACES, 2)
    assert masks is MASKS


def test_a_quarter_of_a_grey_level_is_rounding() -> None:
    for edge in (-TOLERANCE, 1 + TOLERANCE):
        result = Mine(torch.full_like(FACES.images, edge))(FACES, MASKS)
        assert result[:, :, 3, 2].unique().tolist() == [round(edge)]
    for beyond in (-1.1 * TOLERANCE, 1 + 1.1 * TOLERANCE):
        with pytest.raises(UserError, match="must return images in"):
            Mine(torch.full_like(FACES.images, beyond))(FACES, MASKS)
    nothing = torch.zeros_like(MASKS)
    assert torch.equal(Mine(torch.full_like(FACES.images, 7.0))(FACES, nothing), FACES.images)


def test_without_keep_pixels_the_whole_picture_is_taken() -> None:
    painted = Mine(torch.full_like(FACES.images, 0.75))
    assert painted(FACES, MASKS).sum().item() == pytest.approx(2 * 3 * (12 * 0.75 + 36 * 0.25))
    painted.keep_pixels = False
    assert (painted(FACES, MASKS) == 0.75).all()


def test_seed_id_and_draw_reach_the_generators() -> None:
    everything = torch.ones_like(MASKS)

    def expected(seed: int, draw: str) -> torch.Tensor:
        return torch.stack([torch.rand(3, 8, 6, generator=generator(seed, i, "inpaint", draw)) for i in ("a", "b")])

    assert torch.equal(Noise()(FACES, everything), expected(0, "0"))
    assert torch.equal(Noise()(FACES, everything, 5, 2), expected(5, "2"))
    results = [Noise()(FACES, everything, seed, draw) for seed, draw in [(0, 0), (1, 0), (0, 1)]]
    assert len({one[image].sum().item() for one in results for image in (0, 1)}) == 6


def test_masks_of_another_shape_are_refused() -> None:
    for wrong in (MASKS[:, :, :4], MASKS[:1]):
        with pytest.raises(UserError, match=r"`masks` must have the shape \(2, 1, 8, 6\)"):
            Mine(FACES.images)(FACES, wrong)


def test_share_hidden_is_that_of_the_frame() -> None:
    one = MASKS.clone()
    one[1] = False
    assert Mine().latent_share(one).tolist() == [0.25, 0.0]
    assert torch.equal(Mine().round_trip(FACES, MASKS), FACES.images)
    assert (Mine().guidance, Mine().heeds_guidance, Mine().num_draws, Mine().domain) == ("off", True, 1, None)
    assert (Mine().reads_hidden, Mine().force, Mine().keep_pixels, Mine().expects_detail) == (False, False, True, False)
