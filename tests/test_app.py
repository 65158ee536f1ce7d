"""The page to play with, in a browser: what a visitor may do, and what is left of it."""

import re
import time
from pathlib import Path

import pytest
from PIL import Image

pytest.importorskip("gradio", reason="needs gradio: pip install 'privacy-exp[app]'")

from privacy_exp.data.drawn.drawing import draw
from privacy_exp.report.playground import OWN, Playground, serve

LONG = 60_000  # milliseconds


@pytest.fixture(scope="module")
def served(browser):
    """The page's address and the folder of its uploads."""
    blocks, folder = serve([], wait=False)
    yield blocks.local_url, Path(folder.name)
    blocks.close(verbose=False)
    folder.cleanup()
    assert not Path(folder.name).exists()


@pytest.fixture
def visit(browser, served):
    """Opens the page as another visitor; a request to anywhere else, or an error in its script, fails the test."""
    contexts, complaints = [], []

    def look(width: int = 1400):
        context = browser.new_context(viewport={"width": width, "height": 900})
        contexts.append(context)
        page = context.new_page()
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("dialog", lambda dialog: complaints.append(dialog.message))
        page.on("request", lambda request: complaints.append(request.url) if away(request.url) else None)
        page.goto(served[0])
        page.wait_for_selector(".said", timeout=LONG)
        return page

    yield look
    for context in contexts:
        context.close()
    assert complaints == []


def away(url: str) -> bool:
    return not re.match(r"(https?|wss?)://127\.0\.0\.1[:/]|data:|blob:", url)


def result(page) -> str:
    return page.locator("img[alt=result]").get_attribute("src")


def choose(page, label: str, value: str) -> None:
    page.get_by_label(label, exact=True).click()
    page.get_by_role("option", name=value, exact=True).click()


def until_changed(page, before: str) -> str:
    page.wait_for_function(
        "before => { const now = document.querySelector('img[alt=result]'); return now && now.src !== before; }",
        arg=before,
        timeout=LONG,
    )
    return result(page)


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    """A photo with two faces, another with one, one without, and a file that is no picture."""
    folder = tmp_path_factory.mktemp("photos")
    two = Image.new("RGB", (400, 240), (90, 120, 140))
    for person, place in ((3, (20, 40)), (5, (220, 40))):
        two.paste(Image.fromarray(draw(0, person, 0, 160).image), place)
    two.save(folder / "two.jpg", quality=95)
    Image.fromarray(draw(0, 7, 0, 160).image).save(folder / "one.png")
    Image.new("RGB", (200, 160), (90, 120, 140)).save(folder / "sky.png")
    (folder / "<img src=x onerror=alert(1)>.jpg").write_bytes(b"no picture at all")
    return folder


def test_every_control_changes_what_is_shown(visit):
    page = visit()
    shown = result(page)
    for label, value in (("Method", "center"), ("Painter", "pixelate")):
        choose(page, label, value)
        shown = until_changed(page, shown)
    for label, value in (("Drawn person", "4"), ("Area hidden of each face's crop", "0.6")):
        page.get_by_label(f"number input for {label}").fill(value)
        page.keyboard.press("Enter")
        shown = until_changed(page, shown)
    assert "60%" in page.locator(".said").inner_text()
    code = page.locator(".cm-content").all_inner_texts()
    assert (
        code[0].strip()
        == "privacy-exp anonymize photos=DRAWN out=OUT masking=center mask_ratio=0.6 inpainting=pixelate"
    )
    assert 'anonymize(image, "center", "pixelate", mask_ratio=0.6)' in code[1]
    scope: dict = {}
    exec(code[1].replace("\xa0", " "), scope)  # noqa: S102  the lines do what the page did
    assert scope["after"].faces[0].share == pytest.approx(0.6, abs=0.001)
    assert [img.get_attribute("alt") for img in page.locator(".three img").all()] == ["found", "hidden", "result"]


def test_a_photo_and_a_painter_that_refuses_it(visit, photos, served):
    page = visit()
    shown = result(page)
    page.set_input_files("input[type=file]", photos / "two.jpg")
    until_changed(page, shown)
    assert page.locator(".said tr").count() == 3, "two faces"
    assert page.get_by_label("my photo").is_checked()
    assert "photos=PHOTOS" in page.locator(".cm-content").first.inner_text()
    choose(page, "Painter", "tiny")
    page.get_by_text("was trained on drawn faces alone").wait_for(timeout=LONG)


def test_no_face_and_no_picture(visit, photos):
    page = visit()
    page.set_input_files("input[type=file]", photos / "sky.png")
    page.get_by_text("No face was found, so nothing was changed.").wait_for(timeout=LONG)
    page.get_by_label("Remove").first.click() if page.get_by_label("Remove").count() else page.get_by_label(
        "Clear"
    ).click()
    page.set_input_files("input[type=file]", photos / "<img src=x onerror=alert(1)>.jpg")
    page.get_by_text("cannot be read as a picture").wait_for(timeout=LONG)


def test_names_of_files_are_escaped(photos):
    (path,) = photos.glob("*onerror*")
    told = Playground().show(OWN, 0, str(path), "center", 0.3, "blur")[0]
    assert "<img" not in told
    assert "&lt;img src=x" in told


def test_two_at_once_see_their_own(visit, photos):
    pages = [visit(), visit(390)]
    for page, name in zip(pages, ("two.jpg", "one.png"), strict=True):
        page.set_input_files("input[type=file]", photos / name)
    for page, rows in zip(pages, (3, 2), strict=True):
        page.get_by_text("photos=PHOTOS").wait_for(timeout=LONG)
        page.wait_for_function(f"document.querySelectorAll('.said tr').length === {rows}", timeout=LONG)
    assert result(pages[0]) != result(pages[1])


def test_a_visit_leaves_no_file(visit, photos, served):
    page = visit()
    shown = result(page)
    page.set_input_files("input[type=file]", photos / "one.png")
    until_changed(page, shown)
    assert list(served[1].rglob("one.png"))
    page.context.close()
    end = time.monotonic() + 30
    while left(served[1]) and time.monotonic() < end:
        time.sleep(0.2)
    assert left(served[1]) == []


def left(folder: Path) -> list[Path]:
    """Files with anything in them."""
    return [path for path in folder.rglob("*") if path.is_file() and path.stat().st_size]
