"""A matplotlib figure as an element of the page: colours follow the theme, marks can be pointed at."""

import re
from collections.abc import Mapping
from io import BytesIO
from xml.etree import ElementTree

from matplotlib.figure import Figure

from privacy_exp.report.figures import COLOURS, GRID, INK, MUTED, Marks

VARIABLES = {INK: "ink", MUTED: "muted", GRID: "line"} | {colour: f"c{i}" for i, colour in enumerate(COLOURS)}
"""Colours of the figures to custom properties of the page; the colour stays as what they fall back to."""

_SVG, _XLINK = "http://www.w3.org/2000/svg", "{http://www.w3.org/1999/xlink}href"
ElementTree.register_namespace("", _SVG)


def inline_svg(figure: Figure, marks: Marks, prefix: str, label: str) -> str:
    """The figure as an `<svg>` element that can stand in a page beside others.

    Args:
        figure: drawn.
        marks: artists that become elements with `data-tip`, `data-cell`, `data-method`.
        prefix: makes its ids unique in the page.
        label: text alternative.
    """
    buffer = BytesIO()
    nothing = dict.fromkeys(("Date", "Creator", "Format", "Type"))
    figure.savefig(buffer, format="svg", transparent=True, metadata=nothing)
    root = ElementTree.fromstring(buffer.getvalue())  # noqa: S314  written by matplotlib a line above
    for parent in list(root.iter()):
        for child in list(parent):
            if child.tag in (f"{{{_SVG}}}metadata", f"{{{_SVG}}}style"):
                parent.remove(child)  # the style would apply to the whole page
    for element in root.iter():
        _rename(element, marks.data, prefix)
    for size in ("width", "height", "version"):
        root.attrib.pop(size, None)
    root.attrib |= {"role": "img", "aria-label": label, "style": "stroke-linejoin: round; stroke-linecap: butt"}
    return ElementTree.tostring(root, encoding="unicode")


def _rename(element: ElementTree.Element, marks: Mapping[str, Mapping[str, str]], prefix: str) -> None:
    identity = element.attrib.pop("id", None)
    if identity is not None and identity in marks:
        element.attrib |= {f"data-{key}": value for key, value in marks[identity].items()}
    elif identity is not None:
        element.set("id", f"{prefix}-{identity}")
    if _XLINK in element.attrib:
        element.set("href", element.attrib.pop(_XLINK).replace("#", f"#{prefix}-"))
    if "clip-path" in element.attrib:
        element.set("clip-path", element.get("clip-path", "").replace("#", f"#{prefix}-"))
    if "style" in element.attrib:
        element.set("style", re.sub("#[0-9a-f]{6}", _variable, element.get("style", "")))


def _variable(match: re.Match[str]) -> str:
    colour = match.group()
    return f"var(--{VARIABLES[colour]}, {colour})" if colour in VARIABLES else colour
