"""What was asked and how it was run, in plain words and facts."""

from collections.abc import Iterable
from typing import Any

from privacy_exp.report.sections import Section, show
from privacy_exp.runs.names import display_name


def question(section: Section) -> str:
    """The question that the sweep answers, in one or two sentences."""
    cell = section.cells[0]
    parts = [_count(len(axis.levels), axis.label) for axis in section.axes if len(axis.levels) > 1]
    people = {int(c.images["label"].nunique()) for c in section.cells if c.images is not None}
    photos = sorted({int(c.record["n"]) for c in section.cells})
    who = f"{_range(photos)} photos" + (f" of {_range(sorted(people))} people" if people else "")
    painters = _names(c.record["choices"].get("inpainting") for c in section.cells)
    nets = _names(c.record["choices"].get("recognition") for c in section.cells)
    compared = f"Compared are {' × '.join(parts)}: {len(section.cells)} cells." if parts else "One cell."
    if section.pairs:
        return f"How well do {len(section.cells)} tools hide the people on {who}? Pictures made elsewhere, in pairs."
    return (
        f"How well does hiding parts of a face and repainting them with {painters} protect {who} "
        f"({display_name(cell.record['choices'].get('data'))}) from recognition by {nets}? {compared}"
    )


def setting(section: Section) -> list[tuple[str, str]]:
    """What every cell has in common and by what they differ: term and description."""
    first = section.cells[0]
    facts = [
        ("data", _names(c.record["choices"].get("data") for c in section.cells)),
        ("recogniser", _names(c.record["choices"].get("recognition") for c in section.cells)),
        ("inpainting", _names(c.record["choices"].get("inpainting") for c in section.cells)),
    ]
    labels = {"mask_ratio": "budget"}
    for axis in section.axes:
        facts.append((labels.get(axis.name, axis.label), ", ".join(axis.word(level) for level in axis.levels)))
    if any(cell.metric("control_fool_rate").value is not None for cell in section.cells):
        facts.append(("control", "the same masks, filled by one encode and decode"))
    observers = sorted({display_name(c.observers) or "none" for c in section.cells})
    facts.append(("observers", " | ".join(observers)))
    gate = first.get("evaluation.gate")
    if not section.pairs:
        facts.append(("gate", f"clean accuracy of at least {gate:g}" if isinstance(gate, float) else "not recorded"))
    for key, label in (("inpainting.num_inference_steps", "steps"), ("inpainting.prompt", "prompt")):
        values = {show(c.get(key)) for c in section.cells}
        if values != {"–"}:
            facts.append((label, ", ".join(sorted(values))))
    guidance = {c.record.get("details", {}).get("guidance") for c in section.cells} - {None}
    if guidance:
        facts.append(("guidance is", ", ".join(sorted(guidance))))
    return [(term, text) for term, text in dict(facts).items() if text not in ("", "–")]


def run_details(section: Section) -> dict[str, Any]:
    """Versions, devices, seeds, durations and warnings of all cells.

    Returns:
        `versions`: library to the versions that occur; `facts`: term and description; `warnings`: text to how many
        cells gave it.
    """
    versions: dict[str, set[str]] = {}
    warnings: dict[str, int] = {}
    spent = dict.fromkeys(("fit_s", "mask_s", "inpaint_s", "evaluate_s"), 0.0)
    for cell in section.cells:
        for library, version in cell.record.get("versions", {}).items():
            versions.setdefault(library, set()).add(str(version))
        for warning in dict.fromkeys(cell.record.get("warnings", [])):
            warnings[warning] = warnings.get(warning, 0) + 1
        for stage in spent:
            spent[stage] += float(cell.record.get("timing", {}).get(stage) or 0.0)
    words = {"fit_s": "fits", "mask_s": "masks", "inpaint_s": "repainting", "evaluate_s": "scoring"}
    facts = [(words[stage], f"{seconds:.1f} s in all") for stage, seconds in spent.items() if seconds]
    facts.append(("devices", _plain(c.record.get("device") for c in section.cells)))
    facts.append(("seeds", _plain(c.record.get("seed") for c in section.cells)))
    return {
        "versions": [(library, ", ".join(sorted(found))) for library, found in versions.items()],
        "facts": facts,
        "warnings": sorted(warnings.items()),
    }


def _names(values: Iterable[Any]) -> str:
    return ", ".join(
        dict.fromkeys(display_name(v) if isinstance(v, str | list) else str(v) for v in values if v is not None)
    )


def _plain(values: Iterable[Any]) -> str:
    return ", ".join(dict.fromkeys(str(value) for value in values))


def _range(numbers: list[int]) -> str:
    return str(numbers[0]) if len(numbers) == 1 else f"{numbers[0]} to {numbers[-1]}"


def _count(number: int, label: str) -> str:
    plural = {"guidance": "guidance scales", "ratio": "mask ratios", "method": "masking methods"}
    return f"{number} {plural.get(label, f'values of {label}')}"
