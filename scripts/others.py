"""Other people's tools, our controls and our methods under the same observers, at the same changed share.

usage: python scripts/others.py out=DIR [key=value ...]
       python scripts/others.py out=DIR data=celeba data.root=DIR recognition=onnx judge=[onnx,dlib] painter=faces
       … tools=tool/deface_blur,NAME      other tools than deface's three modes; what they change is measured
       … painter=NAME                     paints under our methods: tiny for drawings, the default, or faces
       … table=true                       prints the tables of finished runs again

Runs experiment=others three times: the tools; then a control for each, on the ovals that hide as much as the tool
changed; then random_patches, grad_cam and saliency, at the mean of those shares. What is finished is taken as it is.
"""

import fnmatch
import subprocess
import sys
from pathlib import Path
from typing import Any

from privacy_exp.runs.run import Run, load_run
from privacy_exp.types import Metric

TOOLS = {"tool/deface_blur": "blur", "tool/deface_mosaic": "pixelate", "tool/deface_solid": "blackout"}
"""Each tool and the control that does the same; blur stands beside every other tool."""

METHODS = "random_patches,grad_cam,saliency"

OBSERVERS = {
    "target": "accuracy_anonymized",
    "{0}, rank 1": "judge/*/rank_1",
    "{0}": "attacker/*/accuracy",
    "linkage, {1}": "attacker/linkage/*/rank_1",
}
"""Headings, and the figures under them: how often the person is recognised."""

UTILITY = {
    "SSIM inside": "utility/ssim_inside",
    "face found": "utility/detection_rate",
    "landmark error": "utility/landmark_error",
}


def run(out: Path, *keys: str) -> None:
    """One call of the training command.

    Raises:
        SystemExit: it failed; it has said why.
    """
    command = [sys.executable, "-m", "privacy_exp.train", "experiment=others", *keys]
    if code := subprocess.run([*command, f"hydra.sweep.dir={out}"], check=False).returncode:
        raise SystemExit(code)


def study(out: Path, tools: list[str], painter: str, keys: list[str]) -> None:
    """All three parts."""
    run(out / "tools", *keys, f"inpainting={','.join(tools)}")
    shares = [changed(one) for one in finished(out / "tools")]
    for tool, share in sorted(zip(tools, shares, strict=True)):
        control = TOOLS.get(tool, "blur")
        ratio = f"mask_ratio={share:.3f}"
        run(out / "controls" / tool.rpartition("/")[2], *keys, "masking=face_oval", f"inpainting={control}", ratio)
    mean = sum(shares) / len(shares)
    run(out / "methods", *keys, f"masking={METHODS}", f"inpainting={painter}", f"mask_ratio={mean:.3f}")


def finished(out: Path) -> list[Run]:
    """Finished runs below a folder, by what was asked."""
    runs = [load_run(path.parent) for path in sorted(out.rglob("record.json"))]
    return sorted(runs, key=lambda one: (one.record["choices"]["inpainting"], one.record["choices"]["masking"]))


def changed(one: Run) -> float:
    """Mean share of pixels that the run changed, or hid where masks say it."""
    measured = one.record["metrics"].get("share_changed")
    return float(one.table["share_hidden"].mean() if measured is None else measured["value"])


def shown(metric: Metric | None) -> str:
    """A figure with its interval."""
    if metric is None or metric.value is None:
        return "–"
    return f"{metric.value:.3f}" + ("" if metric.low is None else f" ({metric.low:.3f}-{metric.high:.3f})")


def columns(runs: list[Run], wanted: dict[str, str]) -> dict[str, str]:
    """Heading to the name of the figure, for every figure that a run has; `{0}` and `{1}` are its second names."""
    names = list(dict.fromkeys(name for one in runs for name in one.record["metrics"]))
    found: dict[str, str] = {}
    for heading, pattern in wanted.items():
        for name in fnmatch.filter(names, pattern):
            if name.count("/") == pattern.count("/"):
                found[heading.format(*name.split("/")[1:])] = name
    return found


def table(runs: list[Run]) -> str:
    """A row a run: who still recognises people, what is left of the face, and what it cost."""
    figures = columns(runs, OBSERVERS) | columns(runs, UTILITY)
    first = runs[0].record
    clean = shown(runs[0]["accuracy"])
    heads = ["what", "hidden by", "changed share", *figures, "s an image"]
    lines = [
        f"{first['n']} photos of {first['details']['people']} people; data={first['choices']['data']}, "
        f"recognition={first['choices']['recognition']}, clean accuracy {clean}.",
        "",
        "| " + " | ".join(heads) + " |",
        "|" + len(heads) * "---|",
    ]
    for one in runs:
        record: dict[str, Any] = one.record
        seconds = (record["timing"]["inpaint_s"] + record["timing"]["mask_s"]) / record["n"]
        own = [shown(one[name]) if name in record["metrics"] else "–" for name in figures.values()]
        choices = record["choices"]
        cells = [choices["inpainting"], choices["masking"], f"{changed(one):.3f}", *own, f"{seconds:.3f}"]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def main() -> int:
    """Runs what is not finished, and writes `table.md` beside it."""
    given = dict(argument.split("=", 1) for argument in sys.argv[1:] if "=" in argument)
    if "out" not in given or len(given) < len(sys.argv) - 1:
        print(__doc__)
        return 2
    out, tools = Path(given.pop("out")).resolve(), given.pop("tools", ",".join(TOOLS)).split(",")
    painter, again = given.pop("painter", "tiny"), given.pop("table", "false") == "true"
    if not again:
        study(out, sorted(tools), painter, [f"{key}={value}" for key, value in given.items()])
    runs = [one for part in ("tools", "controls", "methods") for one in finished(out / part)]
    if not runs:
        print(f"{out} holds no finished run; leave out table=true to run the study.", file=sys.stderr)
        return 1
    text = table(runs)
    (out / "table.md").write_text(text)
    print(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
