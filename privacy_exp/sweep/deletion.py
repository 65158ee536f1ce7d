"""Deletion curves from a configuration: what `privacy-exp deletion` does."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from hydra import compose
from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from hydra.utils import get_class, instantiate
from omegaconf import DictConfig
from tqdm import tqdm

from privacy_exp import UserError
from privacy_exp.cache.store import Store
from privacy_exp.evaluation.deletion import curves, delete
from privacy_exp.masking.base import Masker
from privacy_exp.masking.stored import stored_scores
from privacy_exp.recognition.base import Recognizer
from privacy_exp.report.deletion import write_deletion
from privacy_exp.study.stages import fit
from privacy_exp.sweep.aligning import align_first
from privacy_exp.sweep.configuration import plain_config


def delete_by_every_method(config: DictConfig) -> Path:
    """Writes `deletion.json`, `deletion.csv`, `deletion.png` and `deletion.svg` into the run folder and prints a table.

    Args:
        config: composed from conf/deletion.yaml.

    Returns:
        The path of `deletion.json`.

    Raises:
        UserError: a method that does not exist or has no budget, or shares that do not rise within [0, 1].
    """
    config = align_first(config)
    plain = plain_config(config)
    shares, seeds = [float(share) for share in config.shares], [int(seed) for seed in config.mask_seeds]
    if len(shares) < 2 or shares != sorted(set(shares)) or not 0 <= shares[0] <= shares[-1] <= 1:
        raise UserError(f"`shares` must be at least two rising numbers in [0, 1], but got {shares}.")
    if not seeds:
        raise UserError("`mask_seeds` must name at least one seed, but got none.")
    maskers = methods(config)
    parts = {name: instantiate(config.recognition[name]) for name in ("net", "module")}
    parts["trainer"] = instantiate(config.trainer)
    data = instantiate(config.data)
    data.setup()
    store = Store(config.cache.root)
    recognizer = fit(data, parts, plain, int(config.seed), store).recognizer
    recognizer.choose_target_layer(config.recognition.target_layer)
    device = torch.device("cuda" if plain["trainer"]["accelerator"] in ("gpu", "cuda") else "cpu")
    recognizer.to(device)
    found = {}
    for name, masker in tqdm(maskers.items(), unit="method"):
        batches = (faces.to(device) for faces in data.batches("test", config.batch_size))
        found[name] = delete(batches, recognizer, masker, shares, seeds, _scores(store, masker, recognizer))
    choices = HydraConfig.get().runtime.choices
    return write_deletion(
        Path(HydraConfig.get().runtime.output_dir),
        {
            "schema": 1,
            "data": choices["data"],
            "recognizer": choices["recognition"],
            "region": config.region,
            "against": config.against,
            "n": len(data.photos["test"]),
            "people": len(data.identities),
            "clean_accuracy": float(found[config.against].known.mean()),
            "curves": curves(found, shares, config.against),
        },
    )


def _scores(store: Store, masker: Masker, recognizer: Recognizer) -> Callable[[int], Any]:
    """What a method's scores are by a seed: those in the store, or asked for anew."""
    return lambda seed: stored_scores(store, masker, recognizer, seed) or (lambda f: masker.rank(f, recognizer, seed))


def methods(config: DictConfig) -> dict[str, Masker]:
    """The methods by name, the one that the others are tested against first."""
    known = sorted(GlobalHydra.instance().config_loader().get_group_options("masking"))
    asked = known if config.methods is None else list(config.methods)
    wrong = [name for name in (*asked, config.against) if name not in known]
    if wrong:
        raise UserError(f"`methods` and `against` must be among {', '.join(known)}, but got {wrong[0]}.")
    maskers = {}
    for name in dict.fromkeys([config.against, *asked]):
        part = compose(f"masking/{name}").masking
        keys = {key: config[key] for key in ("granularity", "region") if key in part}
        if issubclass(get_class(part["_target_"]), Masker):
            maskers[name] = instantiate(part, **keys)
        elif config.methods is not None or name == config.against:
            raise UserError(f"`methods` and `against` must rank pixels, but {name} decides its own area.")
    return maskers
