"""Broken results are loud; flat controls and flat originals are not."""

from typing import ClassVar

import pytest
import torch
from torch import Generator

from privacy_exp.inpainting.base import Inpainter
from privacy_exp.inpainting.controls import Blackout
from privacy_exp.inpainting.sanity import Counts, SanityCounter, SanityError, black_and_flat
from privacy_exp.types import Faces, Images, Masks
from tests.inpainting.conftest import some_faces

MASKS = torch.zeros(100, 1, 16, 16, dtype=torch.bool)
MASKS[:, :, 4:12, 4:12] = True


class Painted(Inpainter):
    """Returns what it was told to."""

    expects_detail: ClassVar[bool] = True

    def __init__(self, pictures: torch.Tensor) -> None:
        self.pictures = pictures

    def repaint(self, faces: Faces, masks: Masks, generators: list[Generator]) -> Images:
        return self.pictures


@pytest.fixture
def faces() -> Faces:
    return some_faces(100, 16, 16)


def test_two_black_of_a_hundred_are_too_many(faces: Faces) -> None:
    for broken, passes in [(1, True), (2, False)]:
        pictures = 1 - faces.images
        pictures[:broken] = 0
        inpainter = Painted(pictures)
        inpainter(faces, MASKS, 0)
        assert (inpainter.sanity.black, inpainter.sanity.flat, inpainter.sanity.images) == (broken, 0, 100)
        if passes:
            inpainter.sanity.check()
        else:
            with pytest.raises(SanityError, match="Of 100 repainted images 2 are black and 0 flat"):
                inpainter.sanity.check()


def test_flat_is_counted_whatever_its_colour(faces: Faces) -> None:
    pictures = faces.images.clone()
    pictures[:3] = torch.tensor([0.9, 0.2, 0.5])[:, None, None]
    inpainter = Painted(pictures)
    inpainter(faces, MASKS, 0)
    assert (inpainter.sanity.black, inpainter.sanity.flat) == (0, 3)


def test_flat_originals_and_small_masks_are_not_counted(faces: Faces) -> None:
    plain = Faces(faces.ids, torch.full_like(faces.images, 0.3))
    inpainter = Painted(torch.zeros_like(faces.images))
    inpainter(plain, MASKS, 0)
    few = torch.zeros_like(MASKS)
    few[:, :, 4:7, 4:7] = True
    inpainter(faces, few, 0)
    inpainter.sanity.check()
    assert inpainter.sanity.images == 200


def test_nan_is_an_error_at_once(faces: Faces) -> None:
    pictures = faces.images.clone()
    pictures[7, 1, 5, 5] = torch.nan
    with pytest.raises(SanityError, match=r"NaN or infinite pixels for person/07\."):
        Painted(pictures)(faces, MASKS, 0)
    pictures[7, 1, 5, 5] = 0.5
    pictures[7, 1, 0, 0] = torch.nan  # kept, so never used
    Painted(pictures)(faces, MASKS, 0)


def test_controls_may_be_flat(faces: Faces) -> None:
    inpainter = Blackout()
    inpainter(faces, MASKS, 0)
    inpainter.sanity.check()


def test_rounding_outside_the_range_is_cut_off(faces: Faces) -> None:
    pictures = 1.0 - faces.images
    pictures[:, :, 6, 6], pictures[:, :, 7, 7] = 1.0009, -0.0009
    result = Painted(pictures)(faces, MASKS, 0)
    assert (result[:, :, 6, 6] == 1).all()
    assert (result[:, :, 7, 7] == 0).all()


def stripes(low: float, high: float, columns: int = 8) -> torch.Tensor:
    """One picture of 16 px whose hidden square alternates between two greys: its spread is half their difference."""
    picture = torch.full((1, 3, 16, 16), 0.4)
    picture[:, :, 4:12, 4:12] = torch.tensor([low, high]).repeat(columns // 2)
    return picture


@pytest.mark.parametrize(
    ("low", "high", "found"),
    [
        (0.5, 0.5 + 3.9 / 255, (False, True)),  # a spread of 1.95 grey levels
        (0.5, 0.5 + 4.1 / 255, (False, False)),  # 2.05
        (0.0, 1.9 / 255, (True, False)),  # brightest below two grey levels
        (0.0, 2.1 / 255, (False, True)),
    ],
)
def test_black_and_flat_by_hand(low: float, high: float, found: tuple[bool, bool]) -> None:
    black, flat = black_and_flat(stripes(0.2, 0.8), MASKS[:1], stripes(low, high))
    assert (black.item(), flat.item()) == found


def test_only_hidden_pixels_are_judged() -> None:
    dark_around = torch.where(MASKS[:1], 0.7, torch.zeros(1, 3, 16, 16))
    black, flat = black_and_flat(stripes(0.2, 0.8), MASKS[:1], dark_around)
    assert (black.item(), flat.item()) == (False, True)


def test_an_original_with_two_grey_levels_shows_something() -> None:
    plain = stripes(0.5, 0.5)
    assert black_and_flat(stripes(0.5, 0.5 + 4.1 / 255), MASKS[:1], plain)[1].item()
    assert not black_and_flat(stripes(0.5, 0.5 + 3.9 / 255), MASKS[:1], plain)[1].item()


@pytest.mark.parametrize(("pixels", "counted"), [(15, False), (16, True)])
def test_sixteen_hidden_pixels_are_enough(pixels: int, counted: bool) -> None:
    masks = torch.zeros(1, 1, 16, 16, dtype=torch.bool)
    masks.view(-1)[:pixels] = True
    original = torch.rand(1, 3, 16, 16, generator=torch.Generator().manual_seed(0))
    black, flat = black_and_flat(original, masks, torch.full_like(original, 0.7))
    assert (black.item(), flat.item()) == (False, counted)


def test_counting_starts_at_nothing_and_adds_up(faces: Faces) -> None:
    counter = SanityCounter(expects_detail=True)
    assert counter.counts == Counts() == (0, 0, 0)
    counter.check()
    pictures = 1 - faces.images
    pictures[0], pictures[1:3] = 0, 0.5
    for _ in range(2):
        counter.add(faces, MASKS, pictures)
    assert counter.counts == (200, 2, 4)
    with pytest.raises(SanityError, match=r"Of 200 repainted images 2 are black and 4 flat.*more than 1%"):
        counter.check()
    counter.counts = Counts(300, 1, 2)  # exactly one in a hundred
    counter.check()
    counter.counts = Counts(299, 1, 2)
    with pytest.raises(SanityError):
        counter.check()


def test_values_beyond_the_range_are_cut_off_before_they_are_judged(faces: Faces) -> None:
    counter = SanityCounter(expects_detail=True)
    counter.add(faces, MASKS, -faces.images)  # black once it is cut to [0, 1]
    assert counter.counts == (100, 100, 0)
    counter.add(faces, MASKS, 1.5 + faces.images)
    assert counter.counts == (200, 100, 100)
