"""A page to play with: a photo or a drawn face, a method, an area and a painter; and who still recognises the person.

Everything is asked of the public Python API. The page listens on this machine alone, sends nothing anywhere, and keeps
no file: uploads live in a folder of its own, and go with the visit and with the server.
"""

import base64
import io
import os
import tempfile
from collections.abc import Sequence
from html import escape
from pathlib import Path
from typing import Any

from PIL import Image, ImageDraw, ImageOps

import privacy_exp
from privacy_exp import DrawnFaces, UserError

METHODS = ["face_oval", "landmarks", "center", "random_patches", "random_pixels", "everything"]
"""Methods that explain no recogniser: they work on any photo."""

PAINTERS = ["blur", "pixelate", "mean_fill", "blackout", "opencv_telea", "tiny"]
DRAWN, OWN = "a drawn face", "my photo"
SIDE = 192  # pixels of a drawn face
LARGEST = 1600  # pixels of a photo's longer side: larger ones are shrunk, which the page says
PEOPLE = 24  # drawn ones to choose from

CSS = """
.three { display: grid; grid-template-columns: repeat(auto-fit, minmax(15rem, 1fr)); gap: 1rem; }
.three figure { margin: 0; } .three img { width: 100%; border-radius: 6px; }
.said, .said :is(tr, td, th) { border: 0 !important; } .said :is(td, th) { padding: .3rem 1rem .3rem 0; }
footer { display: none !important; }
"""


class Playground:
    """What the page does, without the page.

    Args:
        judges: observers that say whether a result is still the same person; see `anonymize`.
    """

    def __init__(self, judges: Sequence[Any] = ()) -> None:
        self.judges = list(judges)
        self.uploads: dict[str, set[str]] = {}

    def show(
        self, source: str, person: float, upload: str | None, masking: str, area: float, inpainting: str
    ) -> tuple[str, str, str]:
        """Anonymises what was chosen: the pictures and what was found as HTML, the command, the lines of Python."""
        drawn = source == DRAWN
        said = lines(drawn, int(person), masking, float(area), inpainting)
        if not drawn and upload is None:
            return _note("Drop a photo above, or take a drawn face."), *said
        try:
            image, note = (draw(int(person)), "") if drawn else read(Path(str(upload)))
            force: dict[str, Any] = {"force": True} if drawn and inpainting == "tiny" else {}
            asked: dict[str, Any] = {"masking": masking, "mask_ratio": float(area)}
            after = privacy_exp.anonymize(image, inpainting=inpainting, judges=self.judges, **asked, **force)
            hidden = privacy_exp.anonymize(image, inpainting="blackout", **asked)
        except UserError as error:
            return _note(str(error)), *said
        faces = after.faces  # type: ignore[attr-defined]
        if not faces:
            return _note(f"No face was found, so nothing was changed. {note}") + _pictures([("photo", image)]), *said
        shown = [("found", boxed(image, faces)), ("hidden", hidden), ("result", after)]
        return _pictures(shown) + self._found(faces) + (_note(note) if note else ""), *said

    def _found(self, faces: Sequence[Any]) -> str:
        head = "<tr><th>face</th><th>hidden of its crop</th><th>still recognised by</th></tr>"
        rows = ""
        for number, face in enumerate(faces, 1):
            alike = ", ".join(f"{name} {value:.2f}" for name, value in face.similarity.items())
            who = ", ".join(face.recognised_by) or ("nobody who looked" if self.judges else "nobody looked")
            rows += f"<tr><td>{number}</td><td>{face.share:.0%}</td><td>{escape(who)}"
            rows += f" (similarity {escape(alike)})</td></tr>" if alike else "</td></tr>"
        more = "" if self.judges else _note("No judge is at hand: pip install 'privacy-exp[dlib]', or onnx=FILE.")
        return f'<table class="said">{head}{rows}</table>{more}'

    def forget(self, session: str) -> None:
        """Deletes the files of a visit that is over."""
        for upload in self.uploads.pop(session, ()):
            Path(upload).unlink(missing_ok=True)


def lines(drawn: bool, person: int, masking: str, area: float, inpainting: str) -> tuple[str, str]:
    """The command and the lines of Python that do the same."""
    words = f"masking={masking} mask_ratio={area:g} inpainting={inpainting}"
    force = ", force=True" if drawn and inpainting == "tiny" else ""
    python = "from PIL import Image\nfrom privacy_exp import anonymize\n\n"
    photos, image = "photos=PHOTOS", 'Image.open("photo.jpg")'
    if drawn:
        python = python.replace("import anonymize", "import DrawnFaces, anonymize")
        python += f"data = DrawnFaces(identities={PEOPLE}, photos_per_identity=1, image_size={SIDE})\n"
        python += f"image = Image.fromarray(data.read(data.index()[{person}]))\n"
        photos, image = f"photos=DRAWN{' inpainting.force=true' if force else ''}", "image"
    python += f'after = anonymize({image}, "{masking}", "{inpainting}", mask_ratio={area:g}{force})\n'
    return f"privacy-exp anonymize {photos} out=OUT {words}", python + "print(after.faces)\n"


def draw(person: int) -> Image.Image:
    """A drawn person; nobody's face."""
    data = DrawnFaces(identities=PEOPLE, photos_per_identity=1, image_size=SIDE)
    return Image.fromarray(data.read(data.index()[person % PEOPLE]))


def read(path: Path) -> tuple[Image.Image, str]:
    """A photo, upright and shrunk if it is large, and what is to be said about that.

    Raises:
        UserError: the file is no picture that can be read.
    """
    try:
        with Image.open(path) as file:
            image = ImageOps.exif_transpose(file).convert("RGB")
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise UserError(f"{path.name} cannot be read as a picture; drop a JPEG, PNG or WebP file.") from error
    before = image.size
    image.thumbnail((LARGEST, LARGEST))
    shrunk = f"The photo was shrunk from {before[0]}×{before[1]} for this page; the command keeps every pixel."
    return image, "" if image.size == before else shrunk


def boxed(image: Image.Image, faces: Sequence[Any]) -> Image.Image:
    """The photo with a frame around each face."""
    shown = image.copy()
    for face in faces:
        ImageDraw.Draw(shown).rectangle([float(x) for x in face.found.box], outline="#e8a33d", width=3)
    return shown


def _pictures(shown: Sequence[tuple[str, Image.Image]]) -> str:
    parts = []
    for name, image in shown:
        buffer = io.BytesIO()
        image.save(buffer, "JPEG", quality=92)
        data = base64.b64encode(buffer.getvalue()).decode()
        parts.append(f'<figure><img alt="{name}" src="data:image/jpeg;base64,{data}"><figcaption>{name}</figcaption>')
    return f'<div class="three">{"</figure>".join(parts)}</figure></div>'


def _note(text: str) -> str:
    return f'<p role="status">{escape(text)}</p>'


def page(playground: Playground) -> Any:
    """The page itself: gradio's, with analytics off."""
    import gradio as gr

    def run(request: gr.Request, *values: Any) -> tuple[str, str, str]:
        if values[2] is not None:
            playground.uploads.setdefault(str(request.session_hash), set()).add(values[2])
        return playground.show(*values)

    def over(request: gr.Request) -> None:
        playground.forget(str(request.session_hash))

    with gr.Blocks(analytics_enabled=False, title="privacy_exp: try it", delete_cache=(60, 3600)) as blocks:
        gr.Markdown("# Hide a face, and see who still recognises it\nNothing leaves this machine, and no file is kept.")
        with gr.Row():
            with gr.Column(scale=1, min_width=260):
                source = gr.Radio([DRAWN, OWN], value=DRAWN, label="Take")
                person = gr.Slider(0, PEOPLE - 1, value=0, step=1, label="Drawn person")
                upload = gr.File(label="Photo", type="filepath", height=120)
                masking = gr.Dropdown(METHODS, value="face_oval", label="Method")
                area = gr.Slider(0.05, 1, value=0.35, step=0.05, label="Area hidden of each face's crop")
                painter = gr.Dropdown(PAINTERS, value="blur", label="Painter")
            with gr.Column(scale=3):
                shown = gr.HTML()
                command = gr.Code(label="The same as a command", language="shell", interactive=False)
                python = gr.Code(label="The same in Python", language="python", interactive=False)
        asked, told = [source, person, upload, masking, area, painter], [shown, command, python]
        upload.upload(lambda: OWN, None, source, queue=False)
        changed = [part.change for part in asked]
        gr.on([blocks.load, *changed], run, asked, told, trigger_mode="always_last", concurrency_limit=1)
        blocks.unload(over)
    return blocks


def serve(judges: Sequence[Any], port: int | None = None, wait: bool = True) -> Any:
    """Serves the page on 127.0.0.1 until it is interrupted; with `wait=False` returns (gradio's blocks, folder)."""
    folder = tempfile.TemporaryDirectory(prefix="privacy_exp_app_")
    off = {"GRADIO_TEMP_DIR": folder.name, "GRADIO_ANALYTICS_ENABLED": "False", "HF_HUB_DISABLE_TELEMETRY": "1"}
    os.environ.update(off)
    import gradio as gr

    blocks = page(Playground(judges))
    theme = gr.themes.Default(font=["system-ui", "sans-serif"], font_mono=["monospace"])  # no fonts from elsewhere
    options = {"server_name": "127.0.0.1", "server_port": port, "share": False, "max_file_size": "30mb"}
    blocks.queue().launch(**options, prevent_thread_lock=True, quiet=True, theme=theme, css=CSS, footer_links=[])
    if not wait:
        return blocks, folder
    print(f"page     {blocks.local_url}      Ctrl-C ends it")
    try:
        blocks.block_thread()
    finally:
        folder.cleanup()
