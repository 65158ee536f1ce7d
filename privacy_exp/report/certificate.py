"""A certificate on disk: json to check it by hand, and the risk with its bound over the ratio."""

import json
from pathlib import Path

from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from privacy_exp.cache.files import atomic_file, write_text
from privacy_exp.evaluation.certifying import Line
from privacy_exp.report.figures import COLOURS, MARKERS, MUTED, STYLE
from privacy_exp.report.paper import UNDATED
from privacy_exp.study.certificate import Certificate


def write_certificate(certificate: Certificate, folder: Path) -> Path:
    """Writes `certificate.json`, `certificate.png` and `certificate.svg`.

    Args:
        certificate: see `Study.certify`.
        folder: takes the files.

    Returns:
        The path of the json.
    """
    with rc_context(STYLE):
        figure = Figure(figsize=(4.6, 3.2), layout="constrained")
        draw(figure.add_subplot(), certificate)
        for kind in ("png", "svg"):
            with atomic_file(folder / f"certificate.{kind}") as temporary:
                figure.savefig(temporary, format=kind, dpi=200, metadata=UNDATED[kind])
    path = folder / "certificate.json"
    write_text(path, json.dumps(certificate.plain(), indent=1, ensure_ascii=False, allow_nan=False) + "\n")
    return path


def draw(axes: Axes, certificate: Certificate) -> None:
    """Risk and its upper bound over the ratio, a colour a method; certified ratios are filled, α is a line.

    Args:
        axes: empty.
        certificate: see `Study.certify`.
    """
    question = certificate.question
    for place, line in enumerate(certificate.lines):
        _draw_line(axes, line, COLOURS[place % len(COLOURS)], MARKERS[place % len(MARKERS)])
    axes.axhline(question.alpha, color=MUTED, linestyle="--", linewidth=1, label=f"α = {question.alpha:g}")
    axes.set(xlabel="share of the frame that is hidden", ylim=(-0.02, 1.02), ylabel="share of people recognised")
    axes.set_title(f"bar: up to the bound at δ = {question.delta:g}; filled: certified", loc="left")
    axes.legend()


def _draw_line(axes: Axes, line: Line, colour: str, marker: str) -> None:
    shares = [1.0 if step.ratio is None else step.ratio for step in line.steps]
    risks = [step.risk for step in line.steps]
    axes.plot(shares, risks, color=colour, label=line.method)
    for share, step in zip(shares, line.steps, strict=True):
        axes.vlines(share, step.risk, step.bound, color=colour, linewidth=2, alpha=0.5)
        axes.plot(share, step.risk, marker, color=colour, fillstyle="full" if step.certified else "none")
