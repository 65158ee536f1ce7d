"""Whole photos for a tool that finds faces by itself: taken as it made them, looked at, and measured."""

import numpy as np
import pytest
from PIL import Image

from privacy_exp import Command, UserError, anonymize
from privacy_exp.masking.everything import Everything
from privacy_exp.photos.folder import anonymize_folder
from privacy_exp.photos.looking import Watcher
from privacy_exp.photos.treating import LookingAgain, PhotoAnonymizer
from tests.inpainting.tools import tool
from tests.photos.conftest import Canvas, Colours
from tests.photos.test_single import stubborn

FIRST_FACE = """
for name in names:
    photo = Image.open(source / name)
    if photo.width > 300:
        photo.paste((0, 0, 0), (30, 60, 230, 260))
    photo.save(target / name)
"""


@pytest.fixture
def black(tmp_path) -> Command:
    """Blackens the first face of the party, overlooks the second, and leaves small photos alone."""
    return Command(tool(tmp_path, FIRST_FACE), whole=True)


def test_a_tools_photos_are_taken_and_what_it_overlooked_is_told(black, party, tmp_path):
    party.save(tmp_path / "in" / "party.png")
    Canvas(200, 150).save(tmp_path / "in" / "empty.png")
    watcher = Watcher("colours", Colours(), 0.99, 1.0)
    treat = PhotoAnonymizer(Everything(), black, looking=LookingAgain((watcher,)))
    outcome = anonymize_folder(tmp_path / "in", tmp_path / "out", treat, {})
    result = np.asarray(Image.open(tmp_path / "out" / "party.png"))
    wanted = party.pixels.copy()
    wanted[60:260, 30:230] = 0
    assert np.array_equal(result, wanted), "bit for bit what the tool made"
    empty, full = outcome.rows
    assert (empty["changed"], full["changed"]) == (False, True)
    hidden, overlooked = full["faces"]
    assert (hidden["treated"], hidden["tries"], hidden["recognised_by"]) == (True, 1, [])
    assert 0.4 < hidden["share"] < 0.6, "the square is about half of the crop"
    assert (overlooked["treated"], overlooked["share"], overlooked["recognised_by"]) == (False, 0, ["colours"])
    assert not outcome.safe


def test_one_photo_from_python_needs_no_masking(black, party):
    after = anonymize(Image.fromarray(party.pixels), inpainting=black)
    assert [face.treated for face in after.faces] == [True, False]


def test_what_needs_faces_of_our_own_is_refused(black, tmp_path):
    with pytest.raises(UserError, match="`whole` leaves faces to the tool"):
        PhotoAnonymizer(Everything(), black, looking=LookingAgain((stubborn(),), "unrecognised"))
    with pytest.raises(UserError, match=r"leave {masks} out of `command`"):
        Command(tool(tmp_path, "pass", "{input} {output} {masks}"), whole=True)
