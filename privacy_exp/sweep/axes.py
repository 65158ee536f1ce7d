"""Which keys the running sweep varies, and what it may not vary."""

from functools import cache
from pathlib import Path

from hydra.core.hydra_config import HydraConfig
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.types import RunMode
from omegaconf import OmegaConf

from privacy_exp import UserError
from privacy_exp.inpainting.base import Inpainter

GUIDANCE = ("inpainting.guidance_scale", "inpainting.guidance_interval")


def swept_keys() -> list[str]:
    """Keys that the sweep this job belongs to gives several values; empty outside a sweep.

    A job is told its own values alone; what was asked for stands in the `multirun.yaml` that `WritePlan` writes before
    the first job, on the command line or in `hydra.sweeper.params`. The command line wins, as it does in Hydra.
    """
    hydra = HydraConfig.get()
    plan = Path(hydra.runtime.cwd, hydra.sweep.dir) / "multirun.yaml"  # hydra.job.chdir moves the working folder
    if hydra.mode != RunMode.MULTIRUN or not plan.is_file():
        return []
    return list(_swept(plan, plan.stat().st_mtime_ns))


@cache
def _swept(plan: Path, changed: int) -> list[str]:
    """The same of a file as it was written then: reading it takes longer than all else that begins a job."""
    del changed
    asked = OmegaConf.load(plan).hydra
    params = asked.sweeper.get("params") or {}
    lines = [f"{key}={value}" for key, value in params.items()] + list(asked.overrides.task)
    parsed = OverridesParser.create().parse_overrides(lines)
    final = {override.get_key_element(): override for override in parsed}
    return [key for key, override in final.items() if override.is_sweep_override()]


def refuse_inert_axis(inpainter: Inpainter, force: bool) -> None:
    """Stops a sweep over guidance that changes nothing: its cells would be copies of one another.

    Args:
        inpainter: of this cell.
        force: go on nevertheless.

    Raises:
        UserError: guidance is swept, and prompt and negative prompt say the same.
    """
    axes = [key for key in swept_keys() if key in GUIDANCE]
    if axes and not inpainter.heeds_guidance and not force:
        raise UserError(
            f"the sweep varies `{axes[0]}`, which does nothing, because `prompt` and `negative_prompt` say the same: "
            "all its cells would show the same pictures. Give `inpainting.prompt` something to say, drop the axis, or "
            "set `force_inert=true` to run them nevertheless."
        )
