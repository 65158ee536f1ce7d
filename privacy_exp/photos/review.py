"""What a person should look at: `faces.csv`, `review.html` and the closing lines, the worst first."""

import base64
import csv
import html
import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from privacy_exp.cache.files import write_text
from privacy_exp.photos.files import read_photo
from privacy_exp.photos.folder import STATE, Outcome

SMALL = 48
"""Faces whose shorter side is below it are listed as small, in pixels."""

COLUMNS = (
    *("photo", "left", "top", "right", "bottom", "score", "doubtful", "treated", "kept", "share", "tries"),
    *("found_after", "recognised_by", "similarity", "landmarks"),
)

STYLE = """
:root { color-scheme: light dark; font: 16px/1.45 system-ui, sans-serif; }
body { max-width: 70rem; margin: 2rem auto; padding: 0 1rem; }
ul.faces { display: grid; grid-template-columns: repeat(auto-fill, minmax(11rem, 1fr)); gap: 1rem; }
ul.faces { padding: 0; list-style: none; }
li { border: 1px solid #8886; border-radius: .5rem; padding: .5rem; overflow-wrap: anywhere; }
li.bad { border: 2px solid #c33; }
img { width: 100%; border-radius: .25rem; display: block; }
strong { display: block; }
"""


def write_table(out: Path, outcome: Outcome) -> Path:
    """Writes `faces.csv`, one row per face."""
    text = io.StringIO()
    writer = csv.DictWriter(text, COLUMNS, lineterminator="\n")
    writer.writeheader()
    for row in outcome.rows:
        for face in row["faces"]:
            left, top, right, bottom = face["box"]
            cells = {
                "photo": _cell(row["photo"]),
                **{"left": left, "top": top, "right": right, "bottom": bottom},
                **{name: face[name] for name in ("score", "doubtful", "treated", "share", "tries", "found_after")},
                "kept": _cell(face["kept"] or ""),
                "recognised_by": " ".join(face["recognised_by"]),
                "similarity": " ".join(f"{who}={value}" for who, value in face["similarity"].items()),
                "landmarks": " ".join(str(v) for point in face["landmarks"] for v in point),
            }
            writer.writerow(cells)
    write_text(out / "faces.csv", text.getvalue())
    return out / "faces.csv"


def write_review(out: Path, outcome: Outcome, source: Path | None = None) -> Path:
    """Writes `review.html`: one file, no network, the worst faces first.

    Args:
        out: the folder of results, from which the crops are taken.
        outcome: what became of the photos.
        source: the originals, whose crops stand beside; None leaves them out.
    """
    listed = sorted(_listed(outcome), key=lambda item: (-item[0], item[2]["photo"]))
    pages: dict[str, np.ndarray] = {}
    items = []
    for badness, reasons, row, box in listed:
        pictures = [_picture(out / row["photo"], box, pages, "result")]
        if source is not None:
            pictures.insert(0, _picture(source / row["photo"], box, pages, "original"))
        said = html.escape("; ".join(reasons) or "treated")
        kind = ' class="bad"' if badness >= 8 else ""
        items.append(f"<li{kind}>{''.join(pictures)}<strong>{said}</strong>{html.escape(row['photo'])}</li>")
    left_out = [f"<li>{html.escape(reason)}</li>" for reason in outcome.failed.values()]
    left_out += [f"<li>{html.escape(name)}: this format is not read</li>" for name in outcome.unread]
    words = "".join(f"<p>{html.escape(line)}</p>" for line in closing(outcome))
    gone = f"<h2>Not anonymised, and not in this folder</h2><ul>{''.join(left_out)}</ul>" if left_out else ""
    faceless = [row["photo"] for row in outcome.rows if not row["faces"]]
    without = "".join(f"<li>{html.escape(name)}</li>" for name in faceless)
    bare = f"<h2>Photos in which no face was found</h2><ul>{without}</ul>" if faceless else ""
    page = (
        '<!doctype html><html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">'
        f"<title>What to look at</title><style>{STYLE}</style></head><body><h1>What to look at</h1>{words}{gone}"
        f'<h2>Faces, the worst first</h2><ul class="faces">{"".join(items)}</ul>{bare}</body></html>\n'
    )
    write_text(out / "review.html", page)
    return out / "review.html"


def closing(outcome: Outcome) -> list[str]:
    """What happened, in words."""
    faces = outcome.faces
    treated = [face for face in faces if face["treated"]]
    lines = [
        f"{_count(len(outcome.rows), 'photo')} written, {_count(len(faces), 'face')} found, {len(treated)} treated, "
        f"{sum(face['doubtful'] for face in faces)} of them doubtful."
    ]
    if faces and not treated:
        lines.append("Nothing is hidden: no face was treated.")
    kept = [face for face in faces if face["kept"]]
    if kept:
        lines.append(f"{_count(len(kept), 'face')} left as they are, for people who are to be kept.")
    for who in sorted({name for face in faces for name in face["similarity"]}):
        known = [face for face in treated if who in face["recognised_by"]]
        lines.append(f"{who} still recognises {len(known)} of {len(treated)} treated faces.")
    if treated and not any(face["similarity"] for face in faces):
        lines.append("Nobody looked whether treated faces are still recognised; choose a judge to know.")
    without = [row for row in outcome.rows if not row["faces"]]
    if without:
        lines.append(f"No face was found in {_count(len(without), 'photo')}; look at them.")
    if outcome.failed or outcome.unread:
        total = len(outcome.failed) + len(outcome.unread)
        lines.append(f"{_count(total, 'file')} could not be read and were copied nowhere.")
    if outcome.unmarked:
        lines.append(f"{_count(len(outcome.unmarked), 'changed photo')} are in a format without a place for the mark.")
    return lines


def _listed(outcome: Outcome) -> list[tuple[int, list[str], Mapping[str, Any], Sequence[float]]]:
    """Every face with how much it wants a look, and why; and faces that only the result shows."""
    listed: list[tuple[int, list[str], Mapping[str, Any], Sequence[float]]] = []
    for row in outcome.rows:
        for face in row["faces"]:
            reasons, badness = [], 0
            if not face["treated"] and not face["kept"]:
                reasons, badness = ["not treated"], badness + 16
            if face["recognised_by"]:
                reasons.append(f"still recognised by {', '.join(face['recognised_by'])}")
                badness += 8
            if face["doubtful"]:
                reasons.append(f"doubtful: {face['score']:.2f}")
                badness += 4
            if min(face["box"][2] - face["box"][0], face["box"][3] - face["box"][1]) < SMALL:
                reasons.append("small")
                badness += 2
            if face["kept"]:
                reasons.append(f"kept, {face['kept']}")
                badness += 1
            listed.append((badness, reasons, row, face["box"]))
        listed += [(4, ["found in the result alone"], row, box) for box in row["appeared"]]
    return listed


def _picture(path: Path, box: Sequence[float], pages: dict[str, np.ndarray], kind: str) -> str:
    """A small crop around a face, inside the page."""
    if str(path) not in pages:
        pages.clear()  # faces of one photo mostly follow one another; memory stays flat
        pages[str(path)] = read_photo(path).pixels
    pixels = pages[str(path)]
    reach = 0.6 * max(box[2] - box[0], box[3] - box[1])
    left, top = max(0, int(box[0] - reach)), max(0, int(box[1] - reach))
    part = pixels[top : int(box[3] + reach), left : int(box[2] + reach)]
    image = Image.fromarray(part if part.size else pixels)
    image.thumbnail((160, 160))
    stream = io.BytesIO()
    image.save(stream, "JPEG", quality=80)
    data = base64.b64encode(stream.getvalue()).decode()
    return f'<img alt="{kind}" src="data:image/jpeg;base64,{data}">'


def _cell(text: str) -> str:
    """A cell that no spreadsheet takes for a formula."""
    return f"'{text}" if text[:1] in ("=", "+", "-", "@", "\t", "\r") else text


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"


__all__ = ["STATE", "closing", "write_review", "write_table"]
