"""Scoring from a configuration: what `privacy-exp evaluate` does."""

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf

from privacy_exp import UserError
from privacy_exp.cache.named import make_named
from privacy_exp.cache.store import Store
from privacy_exp.data.base import FaceData
from privacy_exp.evaluation.evaluate import Evaluation
from privacy_exp.report.table import metric_table
from privacy_exp.runs.record import read_record
from privacy_exp.study.again import asks_for_more, job_again
from privacy_exp.study.learnt import Learnt
from privacy_exp.study.pairs import score_pairs
from privacy_exp.study.rescore import rescore
from privacy_exp.sweep.configuration import MEASURES, trainer_of

log = logging.getLogger(__name__)


def score(config: DictConfig) -> Evaluation:
    """Looks at saved pictures, writes `evaluation.json` and `evaluation.parquet` beside them, and prints the table.

    Args:
        config: composed from conf/evaluate.yaml.

    Raises:
        UserError: input that cannot be used; the message names it and the way out.
    """
    pairs = mode(config) == "pairs"
    chosen = [(group, name) for group in MEASURES for name in config[group]]
    recorded: dict[str, Any] = {}
    if not pairs and chosen and (Path(config.run) / "record.json").is_file():
        recorded = read_record(Path(config.run))["config"]
        if "trainer" not in recorded:
            raise UserError(
                f"{config.run} holds scored pairs, not a run: score them again with originals=DIR anonymized=DIR and a "
                "new out=DIR."
            )
        config.trainer = trainer_of(recorded["trainer"], Path(config.run) / "record.json")
    missing = OmegaConf.missing_keys(config)
    if missing:
        name = sorted(missing)[0]
        raise UserError(f"{name} must be given: add {name}=VALUE to the command line.")
    measures = {f"{group}/{name}": instantiate(config[group][name]) for group, name in chosen}
    store = Store(config.cache.root)
    if pairs:
        found = score_pairs(
            config.originals,
            config.anonymized,
            config.out,
            measures,
            store,
            identities=config.identities,
            image_size=None if config.image_size is None else list(config.image_size),
            device=config.device,
            anonymized_name=config.anonymized_name,
            learnt=_learnt(config),
        )
        return _shown(Path(config.out), found)
    needed = recorded and any(measure.needs_data for measure in measures.values())
    data = None
    if needed:
        source = Path(config.run) / "record.json"
        data = make_named(recorded["data"], FaceData, source, list(config.trust), dict(config.data))  # type: ignore[type-abstract]
        data.setup()
    job = None
    own = config.recognition.checkpoint is None  # another recogniser would have steered other masks
    if data is not None and own and any(asks_for_more(measure, data) for measure in measures.values()):
        try:
            job = job_again(Path(config.run), recorded, data, store, config.device, list(config.trust))
        except (UserError, FileNotFoundError) as error:
            log.warning("no attacker can have further photos anonymised: %s", error)
    found = rescore(
        config.run,
        checkpoint=config.recognition.checkpoint,
        label_map=config.label_map,
        gate=config.evaluation.gate,
        batch_size=config.evaluation.batch_size,
        device=config.device,
        measures=measures,
        data=data,
        config=recorded,
        store=store,
        trust=list(config.trust),
        job=job,
    )
    return _shown(Path(config.run), found)


def _learnt(config: DictConfig) -> Learnt | None:
    """Further pairs for attackers, and the target that is fitted to their originals."""
    given = [key for key in ("train_originals", "train_anonymized") if config[key] is not None]
    asked = "net" in config.recognition
    if len(given) == 1 or (asked and not given):
        raise UserError(
            "`train_originals` and `train_anonymized` belong together, and `recognition` is fitted to the first; got "
            f"{' and '.join([*given, *['recognition'] * asked])}."
        )
    if not given:
        return None
    net, recipe = (instantiate(config.recognition[part]) if asked else None for part in ("net", "module"))
    return Learnt(config.train_originals, config.train_anonymized, net, recipe)


def _shown(folder: Path, found: Evaluation) -> Evaluation:
    """Prints the figures."""
    print(metric_table(f"{folder.name} · {len(found.table)} images", found.metrics, found.observers, "evaluation.json"))
    for message in found.warnings:
        print(f"warning: {message}")
    print(f"files    {folder / 'evaluation.json'}")
    print(f"pictures {folder / 'grid.png'}")
    return found


def mode(config: Mapping[str, Any]) -> str:
    """What `evaluate` was asked to score: "run" or "pairs".

    Raises:
        UserError: neither, both, or half of a pair.
    """
    given = [key for key in ("run", "originals", "anonymized") if config[key] is not None]
    if given == ["run"]:
        return "run"
    if given == ["originals", "anonymized"] and config["out"] is not None:
        return "pairs"
    raise UserError(
        "give what to score: run=DIR for a run folder, or originals=DIR anonymized=DIR out=DIR for pairs of pictures "
        f"made elsewhere; got {', '.join(given) or 'none of them'}."
    )
