"""Broken results are loud; flat controls and flat originals are not."""

from typing import ClassVar

import pytest
import torch
from torch import Generator

from privacy_exp.inpainting.base import Inpainter
from privacy_exp.inpainting.controls import Blackout
from privacy_exp.inpainting.sanity import SanityError
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
