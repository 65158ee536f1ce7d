"""A saved W&B workspace for a sweep: fool rate over ratio, one line per method, a panel for each guidance; accuracy."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from privacy_exp.cache.files import write_text
from privacy_exp.runs.plan import read_plan
from privacy_exp.tracking.weights_and_biases import panel_key
from privacy_exp.types import UserError

SPEC = "wandb_workspace.json"
GUIDANCE = "inpainting.guidance_scale="


def workspace(sweep: Path, entity: str, project: str) -> Any:
    """The workspace of a sweep, before or after its runs; nothing is sent.

    Args:
        sweep: its folder, with the plan that is written before the first cell.
        entity: W&B user or team.
        project: W&B project.

    Raises:
        UserError: wandb-workspaces is missing, or the folder holds no plan.
    """
    try:
        import wandb_workspaces.reports.v2 as wr
        import wandb_workspaces.workspaces as ws
    except ImportError as error:
        raise UserError("a workspace needs wandb-workspaces: pip install 'privacy-exp[wandb]'.") from error
    plan = read_plan(sweep)
    if plan is None:
        raise UserError(f"`sweep` must be the folder of a sweep with its plan.json, but got {sweep}.")

    def panel(figure: str, guidance: float | None) -> Any:
        words = figure.replace("_", " ")
        return wr.LinePlot(
            title=words if guidance is None else f"{words}, guidance {guidance:g}",
            x="mask_ratio",
            y=[figure if guidance is None else f"{figure}/{panel_key(guidance)}"],
            range_y=(0, 1),
            title_x="share of the frame that is hidden",
            groupby=wr.Config("choices.masking"),
            groupby_aggfunc="mean",
            groupby_rangefunc="minmax",
        )

    scales = guidances(plan["cells"] or [])
    sections = [
        ws.Section(name=name, panels=[panel(figure, scale) for scale in scales], is_open=True)
        for name, figure in (("Fooled", "fool_rate"), ("Is the recogniser fit to be fooled?", "accuracy"))
    ]
    settings = ws.RunsetSettings(filters=[ws.Metric("Group") == sweep.resolve().name])
    return ws.Workspace(
        entity=entity, project=project, name=sweep.resolve().name, sections=sections, runset_settings=settings
    )


def guidances(cells: Sequence[Sequence[str]]) -> list[float | None]:
    """The guidance scales of a sweep's cells in order; None alone where they name none."""
    found = {float(text.removeprefix(GUIDANCE)) for cell in cells for text in cell if text.startswith(GUIDANCE)}
    return [*sorted(found)] or [None]


def write_spec(sweep: Path, entity: str, project: str) -> Path:
    """Writes what W&B would be told into the sweep's folder, without network or key, and returns its path."""
    view = workspace(sweep, entity, project)._model.model_dump(by_alias=True, exclude_none=True, mode="json")
    path = sweep / SPEC
    write_text(path, json.dumps(view, indent=1, ensure_ascii=False) + "\n")
    return path
