"""Certificates from a configuration: what `privacy-exp certify` does, and how `anonymize` uses one."""

import json
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from hydra.core.hydra_config import HydraConfig
from hydra.utils import instantiate
from omegaconf import DictConfig

from privacy_exp import UserError
from privacy_exp.report.certificate import write_certificate
from privacy_exp.study.certificate import SCHEMA, Certificate
from privacy_exp.sweep.aligning import align_first
from privacy_exp.sweep.build import study_of
from privacy_exp.sweep.configuration import plain_config

log = logging.getLogger(__name__)

ASKED = ("alpha", "delta", "ratios", "by", "far", "aside", "threshold", "groups", "attackers", "chosen_with")


def certify_and_write(config: DictConfig) -> Certificate:
    """Certifies, prints the sentences, and writes json and figure into the run folder.

    Args:
        config: composed from conf/certify.yaml.
    """
    config = align_first(config)
    plain = plain_config(config)
    out = Path(HydraConfig.get().runtime.output_dir)
    study = study_of(config, plain, out)
    judges = {name: instantiate(one) for name, one in config.judge.items()}
    question = {name: plain[name] for name in ASKED}
    question["threshold"] = {name: value for name, value in plain["threshold"].items() if value is not None}
    certificate: Certificate = study.certify(plain["methods"], instantiate(config.inpainting), judges, **question)
    print(certificate)
    print(f"files    {write_certificate(certificate, out)}")
    return certificate


def certified_ratio(path: str | Path, asked: Mapping[str, Any], masking: str, data_digest: str | None = None) -> float:
    """The ratio of a certificate, with a warning for whatever is not as it was certified.

    Args:
        path: `certificate.json`.
        asked: configuration of `anonymize` as plain values.
        masking: name of the masking method.
        data_digest: of the photos; None where they are whole photos of unknown people.

    Raises:
        UserError: no such file, or one that certifies no ratio of this method.
    """
    found = _read(Path(path))
    of_method = [line for line in found["lines"] if line["method"] == masking]
    ratio = of_method[0]["certified_ratio"] if of_method else None
    if ratio is None:
        known = ", ".join(line["method"] for line in found["lines"] if line["certified_ratio"] is not None)
        raise UserError(f"`certificate` certifies no ratio of masking={masking}; it certifies {known or 'nothing'}.")
    changed = {
        "data": data_digest != found["data_digest"],
        "inpainting": asked["inpainting"] != {k: v for k, v in found["inpainting"].items() if k != "keys"},
        "masking": asked["masking"] != found["masking"][masking],
        "judge": bool(asked.get("judge")) and set(asked["judge"]) != set(found["observers"]),
    }
    for name in (name for name, other in changed.items() if other):
        log.warning("`certificate` was made with another `%s`: what it says need not hold here.", name)
    log.info("mask_ratio=%g, as %s certifies", ratio, path)
    return float(ratio)


def ratio_of(config: DictConfig, plain: Mapping[str, Any], data_digest: str | None = None) -> float:
    """`mask_ratio`, or that of the certificate where one is given.

    Args:
        config: composed from conf/anonymize.yaml.
        plain: the same as plain values.
        data_digest: see `certified_ratio`.
    """
    if config.certificate is None:
        return float(config.mask_ratio)
    name = HydraConfig.get().runtime.choices["masking"]
    return certified_ratio(config.certificate, plain, name, data_digest)


def _read(path: Path) -> dict[str, Any]:
    if not path.is_file():
        raise UserError(f"`certificate` must be a certificate.json, but {path} is no file.")
    try:
        found = json.loads(path.read_text())
    except (ValueError, UnicodeDecodeError) as error:
        raise UserError(f"`certificate` {path} is damaged ({error}); certify again.") from error
    schema = found.get("schema") if isinstance(found, dict) else None
    needed = ("lines", "inpainting", "masking", "observers", "data_digest")
    if schema != SCHEMA or any(name not in found for name in needed):
        raise UserError(f"`certificate` {path} has schema {schema!r}, and {SCHEMA} is read here; certify again.")
    return dict(found)
