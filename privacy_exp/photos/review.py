"""What a person should look at: `faces.csv`, `review.html` and the closing lines, the worst first."""

import base64
import csv
import html
import io
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from PIL import Image

from privacy_exp.cache.files import write_text
from privacy_exp.photos.files import read_photo
from privacy_exp.photos.folder import work_folder
from privacy_exp.photos.outcome import Outcome

SMALL = 48
"""Faces whose shorter side is below it are listed as small, in pixels."""

COLUMNS = (
    *("photo", "face", "left", "top", "right", "bottom", "score", "doubtful", "treated", "kept", "share", "tries"),
    *("found_after", "recognised_by", "similarity", "landmarks"),
)

STYLE = """
:root { color-scheme: light dark; font: 16px/1.45 system-ui, sans-serif; }
body { max-width: 70rem; margin: 2rem auto; padding: 0 1rem; overflow-wrap: anywhere; }
h1, h2, summary { line-height: 1.2; }
summary { font-size: 1.3rem; font-weight: bold; margin: 1.5rem 0; cursor: pointer; }
.faces { display: grid; grid-template-columns: repeat(auto-fill, minmax(10rem, 1fr)); gap: 1rem; }
.faces { padding: 0; list-style: none; }
.pairs { grid-template-columns: repeat(auto-fill, minmax(min(20rem, 100%), 1fr)); }
.faces > li { border: 1px solid #8886; border-radius: .5rem; padding: .5rem; }
.faces > li.bad { border: 2px solid #c33; padding: calc(.5rem - 1px); }
.pictures { display: grid; grid-auto-flow: column; grid-auto-columns: 1fr; gap: .5rem; margin-bottom: .5rem; }
figure { margin: 0; font-size: .85rem; }
img { width: 100%; aspect-ratio: 1; object-fit: contain; border-radius: .25rem; display: block; background: #8882; }
strong, .more { display: block; }
.more { font-size: .85rem; opacity: .8; }
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
                **{
                    name: face[name]
                    for name in ("face", "score", "doubtful", "treated", "share", "tries", "found_after")
                },
                "kept": _cell(face["kept"] or ""),
                "recognised_by": " ".join(face["recognised_by"]),
                "similarity": " ".join(f"{who}={value}" for who, value in face["similarity"].items()),
                "landmarks": " ".join(str(v) for point in face["landmarks"] for v in point),
            }
            writer.writerow(cells)
    write_text(out / "faces.csv", text.getvalue(), work_folder(out))
    return out / "faces.csv"


def write_review(out: Path, outcome: Outcome, source: Path | None = None) -> Path:
    """Writes `review.html`: one file, no network, the worst faces first.

    Args:
        out: the folder of results, from which the crops are taken.
        outcome: what became of the photos.
        source: the originals, whose crops stand beside; None leaves them out.
    """
    pages: dict[str, np.ndarray] = {}
    odd, plain = list[str](), list[str]()
    for one in sorted(_listed(outcome), key=lambda one: (-one.badness, one.photo)):
        pictures = [_figure(out / one.photo, one.box, pages, "" if source is None else "after")]
        if source is not None:
            pictures.insert(0, _figure(source / one.photo, one.box, pages, "before"))
        kind = ' class="bad"' if one.badness >= 8 else ""
        said = "".join(f"<strong>{html.escape(reason)}</strong>" for reason in one.reasons)
        more = "".join(f'<span class="more">{html.escape(line)}</span>' for line in (one.photo, *one.more))
        item = f'<li{kind}><div class="pictures">{"".join(pictures)}</div>{said}{more}</li>'
        (odd if one.badness else plain).append(item)
    left_out = [*outcome.failed.values()]
    left_out += [f"{name}: this format is not read" for name in outcome.unread]
    faceless = [row["photo"] for row in outcome.rows if not row["faces"]]
    grid = "faces" if source is None else "faces pairs"
    parts = [_section("Not anonymised, and not in this folder", left_out)]
    if odd:
        parts.append(f'<h2>{_count(len(odd), "face")} to look at, the worst first</h2><ul class="{grid}">')
        parts.append(f"{''.join(odd)}</ul>")
    parts.append(_section("Photos in which no face was found", faceless))
    if plain:
        title = f"{_count(len(plain), 'treated face')} with nothing to report"
        parts.append(f'<details><summary>{title}</summary><ul class="{grid}">{"".join(plain)}</ul></details>')
    page = (
        '<!doctype html><html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">'
        f"<title>What to look at</title><style>{STYLE}</style></head><body><h1>What to look at</h1>"
        f"{_section('', closing(outcome))}{''.join(parts)}</body></html>\n"
    )
    write_text(out / "review.html", page, work_folder(out))
    return out / "review.html"


def _section(title: str, lines: Sequence[str]) -> str:
    items = "".join(f"<li>{html.escape(line)}</li>" for line in lines)
    return f"{f'<h2>{title}</h2>' if title else ''}<ul>{items}</ul>" if lines else ""


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
    lines += _of_kept(outcome)
    for who in sorted({name for face in faces for name in face["similarity"]}):
        known = [face for face in treated if who in face["recognised_by"]]
        seen = f" (similarity from {outcome.thresholds[who]:.3g})" if who in outcome.thresholds else ""
        lines.append(f"{who} still recognises {len(known)} of {len(treated)} treated faces{seen}.")
    if outcome.looked_at:
        lines.append(f"{_count(len(outcome.looked_at), 'face')} of these looked at and let pass (`looked_at`).")
    if outcome.recognised:
        some = ",".join(face["face"] for face in outcome.recognised[:3]) + ",..." * (len(outcome.recognised) > 3)
        lines.append(
            "What helps: look at them, then take inpainting=mean_fill or a larger mask_ratio, leave them out, or let "
            f"them pass: looked_at=[{some}]."
        )
    if treated and not any(face["similarity"] for face in faces):
        lines.append("Nobody looked whether treated faces are still recognised; choose a judge to know.")
    without = [row for row in outcome.rows if not row["faces"]]
    if without:
        lines.append(f"No face was found in {_count(len(without), 'photo')}: look whether there is none.")
    if outcome.failed or outcome.unread:
        total = len(outcome.failed) + len(outcome.unread)
        lines.append(f"{_count(total, 'file')} could not be read and {'was' if total == 1 else 'were'} copied nowhere.")
    if outcome.others:
        lines.append(f"{_count(outcome.others, 'other file')} not copied, since only photos are.")
    if outcome.stale:
        shown = ", ".join(outcome.stale[:3]) + (", ..." if len(outcome.stale) > 3 else "")
        lines.append(f"{_count(len(outcome.stale), 'result')} of an earlier call without a photo any more: {shown}.")
    if outcome.unmarked:
        lines.append(f"No place for the mark of a machine's change in {_count(len(outcome.unmarked), 'photo')}.")
    return lines


def _of_kept(outcome: Outcome) -> list[str]:
    """What `keep_people` left alone, and how near it came to the others."""
    if outcome.keeping is None:
        return []
    kept = [face for face in outcome.faces if face["kept"]]
    others = [face["like"] for face in outcome.faces if not face["kept"] and face["like"] is not None]
    near = f"; the nearest of the others reaches {max(others):.2f}" if others else ""
    advice = "" if kept else " More photos of each person in its folder help."
    counted = f"{_count(len(kept), 'face')} left alone, from a similarity of {outcome.keeping:.2f} on{near}."
    return [f"keep_people: {counted}{advice}"]


@dataclass(frozen=True)
class _Listed:
    """A face on the page: how much it wants a look, why, and what else is known of it."""

    badness: int
    reasons: list[str]
    photo: str
    box: Sequence[float]
    more: list[str] = field(default_factory=list)


def _listed(outcome: Outcome) -> list[_Listed]:
    """Every face, and those that only the result shows."""
    listed = []
    for row in outcome.rows:
        for face in row["faces"]:
            reasons, badness = [], 0
            if not face["treated"] and not face["kept"]:
                reasons, badness = ["not treated"], badness + 16
            if face["face"] in outcome.looked_at:
                reasons.append("looked at and let pass")
            elif face["recognised_by"]:
                reasons.append(f"still recognised by {', '.join(face['recognised_by'])}")
                badness += 8
            if face["doubtful"]:
                reasons.append(f"doubtful: {face['score']:.2f}, perhaps no face")
                badness += 4
            if min(face["box"][2] - face["box"][0], face["box"][3] - face["box"][1]) < SMALL:
                reasons.append("small")
                badness += 2
            if face["kept"]:
                reasons.append(f"kept, {face['kept']}")
                badness += 1
            more = [face["face"]] if face["recognised_by"] else []
            more += [f"at {face['box'][0]:.0f}, {face['box'][1]:.0f} px"] if len(row["faces"]) > 1 else []
            more += [f"{face['share']:.0%} hidden"] if face["treated"] else []
            for who, value in face["similarity"].items():
                known = f", one person from {outcome.thresholds[who]:.3g}" if who in outcome.thresholds else ""
                more.append(f"{who}: similarity {value:.3g}{known}")
            listed.append(_Listed(badness, reasons, row["photo"], face["box"], more))
        listed += [_Listed(4, ["found in the result alone"], row["photo"], box) for box in row["appeared"]]
    return listed


def _figure(path: Path, box: Sequence[float], pages: dict[str, np.ndarray], caption: str) -> str:
    """A small crop around a face, inside the page."""
    if str(path) not in pages:
        while len(pages) > 1:  # of one photo both versions stay, since its faces mostly follow one another
            pages.pop(next(iter(pages)))
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
    text = f"<figcaption>{caption}</figcaption>" if caption else ""
    return f'<figure>{text}<img alt="{f"face {caption}".strip()}" src="data:image/jpeg;base64,{data}"></figure>'


def _cell(text: str) -> str:
    """A cell that no spreadsheet takes for a formula."""
    return f"'{text}" if text[:1] in ("=", "+", "-", "@", "\t", "\r") else text


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"
