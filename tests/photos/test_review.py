"""The page that a person looks at, in a browser."""

import pytest

from privacy_exp.photos.outcome import Outcome
from privacy_exp.photos.review import write_review


def face(box, **known):
    plain = {"score": 0.99, "doubtful": False, "treated": True, "kept": None, "share": 0.35, "recognised_by": []}
    return {"face": f"face-{box[0]:08d}", "box": box, "similarity": {}, **plain, **known}


@pytest.fixture
def page(tmp_path, party):
    party.save(tmp_path / "out" / "a.png")
    party.save(tmp_path / "in" / "a.png")
    faces = [
        face(party.boxes[0]),
        face(party.boxes[1], recognised_by=["dlib"], similarity={"dlib": 0.951}),
        face((300, 20, 330, 50)),
        face((20, 20, 90, 90), doubtful=True, score=0.81),
        face((20, 20, 90, 90), treated=False),
    ]
    row = {"photo": "a.png", "faces": faces, "appeared": [[100, 100, 180, 180]], "changed": True, "marked": True}
    bare = {"photo": "<b>.png", "faces": [], "appeared": [], "changed": False, "marked": False}
    outcome = Outcome([row, bare], {"x" * 90 + ".jpg": "x" * 90 + ".jpg cannot be read"}, ["film.mp4"])
    return write_review(tmp_path / "out", outcome, tmp_path / "in")


@pytest.mark.parametrize("width", [1400, 390])
def test_the_page_shows_the_worst_first_and_fits(browser, page, width):
    context = browser.new_context(viewport={"width": width, "height": 900}, offline=True)
    shown, asked = context.new_page(), list[str]()
    shown.on("request", lambda request: asked.append(request.url))
    shown.goto(page.as_uri())
    assert shown.evaluate("document.documentElement.scrollWidth") <= width
    said = [item.inner_text() for item in shown.locator("h2 + ul.faces > li strong").all()]
    assert said[:2] == ["not treated", "still recognised by dlib"]
    assert set(said[2:4]) == {"doubtful: 0.81, perhaps no face", "found in the result alone"}
    assert said[4:] == ["small"]
    assert shown.locator("details img").count() == 2
    assert not shown.locator("details img").first.is_visible()
    shown.locator("summary").click()
    assert shown.locator("details img").first.is_visible()
    assert [url for url in asked if not url.startswith("data:")] == [page.as_uri()]
    sizes = shown.evaluate("[...document.images].map(i => i.naturalWidth)")
    assert min(sizes) > 0
    assert "<b>.png" in shown.locator("body").inner_text()
    context.close()
