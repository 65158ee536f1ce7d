"""A run as a record of Every Eval Ever, schema 0.3.0: every figure with its interval and the number behind it."""

import hashlib
import re
import shlex
import uuid
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from privacy_exp.report.collect import Row
from privacy_exp.report.metrics import describe
from privacy_exp.runs.names import display_name
from privacy_exp.runs.parts import UNKNOWN, parts_of
from privacy_exp.runs.plan import read_overrides
from privacy_exp.types import Metric

SCHEMA = "0.3.0"
DEVELOPER = "privacy_exp"

FOLDERS = re.compile(r"""(?<![\w/.])(~[\w.-]*|\.{1,2})?/(?!/)([^,=\[\]{}'"/\n]+/)*""")
"""What stands before the last part of a path."""

SHARES = (
    *("accuracy", "fool_rate", "share", "tar_", "same_photo", "agreement", "detection_rate", "false_accept"),
    *("detected", "recognised"),
)
"""Parts of the names of figures that lie in [0, 1]; bounds of others are not stated beyond what is sure: none."""


def every_eval_ever(cell: Row) -> dict[str, Any]:
    """The record of one cell; its figures without a value are listed with their reasons, not scored.

    Args:
        cell: a finished run.
    """
    record = cell.record
    valued = {name: metric for name, metric in cell.metrics.items() if metric.value is not None}
    missing = {name: str(metric.reason) for name, metric in cell.metrics.items() if metric.value is None}
    ended = f"{ended_at(cell):.3f}"
    return {
        "schema_version": SCHEMA,
        "evaluation_id": f"{_data(cell)}/{_model(cell)}/{ended}",
        "evaluation_timestamp": ended,
        "retrieved_timestamp": ended,
        "source_metadata": {
            "source_name": "privacy_exp run",
            "source_type": "evaluation_run",
            "source_organization_name": UNKNOWN,
            "evaluator_relationship": "other",
            "additional_details": _texts({"key": record.get("key"), "without_value": "; ".join(missing)}),
        },
        "eval_library": {
            "name": "privacy_exp",
            "version": str(record.get("versions", {}).get("privacy_exp", UNKNOWN)),
            "additional_details": _texts({"record_schema": record["schema"]}),
        },
        "model_info": _method(cell),
        "evaluation_results": [_result(cell, name, metric) for name, metric in valued.items()],
    }


def repository_path(cell: Row) -> str:
    """Where the record stands in a repository of such records."""
    return f"data/{_data(cell)}/{DEVELOPER}/{_model(cell)}/{_uuid(cell)}.json"


def ended_at(cell: Row) -> float:
    """When the run ended, in seconds since 1970: as its record says, else when the record was written."""
    said = cell.record.get("timing", {}).get("ended")
    return float(said) if said is not None else (cell.folder / "record.json").stat().st_mtime


def _uuid(cell: Row) -> uuid.UUID:
    """The same for the same record; the format wants version 4."""
    digest = hashlib.sha256(f"{cell.record.get('key')} {ended_at(cell)} {cell.name}".encode()).digest()
    return uuid.UUID(bytes=digest[:16], version=4)


def _data(cell: Row) -> str:
    return f"privacy_exp-{_portable(cell.record['choices'].get('data', UNKNOWN))}"


def _model(cell: Row) -> str:
    """The anonymiser: method, painter and area."""
    inpainting = cell.record["choices"].get("inpainting")
    area = "own-area" if cell.mask_ratio is None else f"{cell.mask_ratio:g}"
    return "-".join(_portable(part) for part in (cell.method, inpainting, area) if part is not None)


def _portable(text: object) -> str:
    """As part of a path on any system."""
    return re.sub(r"[^\w+.-]", "_", str(text)).strip("._ ") or UNKNOWN


def _method(cell: Row) -> dict[str, Any]:
    painter = cell.record["choices"].get("inpainting")
    area = "its own area" if cell.mask_ratio is None else f"{cell.mask_ratio:.0%} of the frame"
    name = f"{display_name(cell.method)}, {area}" + (f", {display_name(painter)}" if painter else "")
    licences = [part.licence for part in parts_of(cell.record) if part.part.startswith("inpainting/")]
    known = bool(licences) and UNKNOWN not in licences
    details = {
        "deployment_type": "self_deployed",
        "model_availability": "open_weights" if known else UNKNOWN,
        "mask_ratio": cell.mask_ratio,
        "guidance_scale": cell.guidance,
        "seed": cell.record.get("seed"),
    }
    return {
        "name": name,
        "id": f"{DEVELOPER}/{_model(cell)}",
        "developer": DEVELOPER,
        "additional_details": _texts(details),
    }


def _result(cell: Row, name: str, metric: Metric) -> dict[str, Any]:
    words = describe(name)
    low, high = (0.0, 1.0) if any(part in name for part in SHARES) else ("-Infinity", "Infinity")
    uncertainty: dict[str, Any] = {"num_samples": metric.n}
    if metric.low is not None and metric.high is not None:
        uncertainty["confidence_interval"] = {
            "lower": metric.low,
            "upper": metric.high,
            "confidence_level": 0.95,
            "method": "over people: Wilson with an effective n for rates, bootstrap for others",
        }
    found = {
        "evaluation_result_id": f"{_uuid(cell)}/{name}",
        "evaluation_name": _data(cell),
        "source_data": {
            "dataset_name": display_name(cell.record["choices"].get("data", UNKNOWN)),
            "source_type": "other",
            "additional_details": _texts(_details(cell, "data_digest", "people")),
        },
        "metric_config": {
            "evaluation_description": words.meaning or words.label,
            "metric_id": f"privacy_exp.{name}",
            "metric_name": words.label,
            "lower_is_better": words.better == "lower",
            "score_type": "continuous",
            "min_score": low,
            "max_score": high,
            "additional_details": {"direction": words.better or "context: neither is better"},
        },
        "score_details": {
            "score": metric.value,
            "details": _texts({"flag": metric.reason}),
            "uncertainty": uncertainty,
        },
        "evaluation_timestamp": datetime.fromtimestamp(ended_at(cell), UTC).isoformat(),
    }
    command = public_command(cell.folder)
    if command is not None:
        found["generation_config"] = {"generation_args": {"execution_command": command}}
    return found


def public_command(folder: Path) -> str | None:
    """The line that computes a run, without the folders of the machine that it ran on; None where nobody knows it."""
    overrides = read_overrides(folder)
    if overrides is None:
        return None
    return shlex.join(["privacy-exp", "train", *map(without_folders, overrides)])


def without_folders(text: str) -> str:
    """The same text with each path cut to its last part: what is published names no machine's folders.

    Example:
        >>> without_folders("data.root=/home/me/celeba"), without_folders("judge.onnx.path=[~/a b/c.onnx,./d.onnx]")
        ('data.root=celeba', 'judge.onnx.path=[c.onnx,d.onnx]')
        >>> without_folders("inpainting.checkpoint=runwayml/sd")
        'inpainting.checkpoint=runwayml/sd'
    """
    return FOLDERS.sub("", text)


def _details(cell: Row, *names: str) -> Mapping[str, Any]:
    return {name: cell.record.get("details", {}).get(name) for name in names}


def _texts(values: Mapping[str, Any]) -> dict[str, str]:
    """Without those that are unknown: the format takes text alone."""
    return {name: str(value) for name, value in values.items() if value not in (None, "")}
