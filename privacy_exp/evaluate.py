"""Scores a finished run folder again, one in the same layout that was made elsewhere, or pairs of pictures.

python -m privacy_exp.evaluate run=DIR [judge=[onnx]] [recognition.checkpoint=RUN label_map=FILE]
python -m privacy_exp.evaluate originals=DIR anonymized=DIR out=DIR judge=[onnx]
"""

import logging
from pathlib import Path
from typing import Any

from omegaconf import DictConfig

from privacy_exp import UserError
from privacy_exp.sweep.entry import entry_point

log = logging.getLogger(__name__)


def run(config: DictConfig) -> dict[str, float | None]:
    """Looks at the saved files and prints the table; writes `evaluation.json` and `evaluation.parquet` beside them.

    Args:
        config: composed from conf/evaluate.yaml.

    Returns:
        Metric names to values.

    Raises:
        UserError: input that cannot be used; the message names it and the way out.
    """
    from hydra.utils import instantiate
    from omegaconf import OmegaConf

    from privacy_exp.cache.named import make_named
    from privacy_exp.cache.store import Store
    from privacy_exp.data.base import FaceData
    from privacy_exp.runs.record import read_record
    from privacy_exp.study.again import asks_for_more, job_again
    from privacy_exp.study.pairs import mode, score_pairs
    from privacy_exp.study.rescore import rescore
    from privacy_exp.sweep.configuration import MEASURES, trainer_of

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
        return score_pairs(
            config.originals,
            config.anonymized,
            config.out,
            measures,
            store,
            identities=config.identities,
            image_size=None if config.image_size is None else list(config.image_size),
            device=config.device,
            anonymized_name=config.anonymized_name,
        )
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
    return rescore(
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


main = entry_point("evaluate", run)

if __name__ == "__main__":
    main()
