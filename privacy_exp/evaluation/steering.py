"""Whose networks steered the painter or the masks of a run: they cannot be its held-out judges."""

from collections.abc import Mapping
from typing import Any

from privacy_exp.cache.keys import scientific
from privacy_exp.inpainting.settings import TARGET
from privacy_exp.recognition.facenet import WEIGHTS


def target_weights(config: Mapping[str, Any]) -> set[str]:
    """Digests of the weights that the run's recogniser started from; empty where it started from random ones.

    Args:
        config: the run's, as plain values.
    """
    net = scientific(config.get("recognition", {}).get("net") or {})
    return {net.get("model"), WEIGHTS.get(net.get("pretrained"))} - {None}


def repelling_weights(config: Mapping[str, Any]) -> set[str]:
    """Digests of the weights of all recognisers that pushed faces away; empty without `inpainting.repel`.

    Args:
        config: the run's, as plain values.
    """
    painter = config.get("inpainting", {})
    repel = painter.get("repel")  # a number on the command line; Python makes an object
    keys = repel if isinstance(repel, Mapping) else {"strength": repel, "model": painter.get("repel_model")}
    if not keys.get("strength"):
        return set()
    names = list(keys.get("model") or [TARGET])
    files = set(scientific({"model": [name for name in names if name != TARGET]})["model"])
    return files | (target_weights(config) if TARGET in names else set())
