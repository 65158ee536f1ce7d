"""A folder of aligned face crops masked and repainted: nothing is fitted, nothing is scored."""

import logging
from pathlib import Path

from hydra.utils import instantiate
from omegaconf import DictConfig

from privacy_exp import UserError
from privacy_exp.cache.keys import content_key, file_digest, scientific
from privacy_exp.cache.sources import sources
from privacy_exp.inpainting.domain import check_domain
from privacy_exp.masking.base import OwnArea
from privacy_exp.recognition.checkpoint import checkpoint_file, checkpoint_identities
from privacy_exp.recognition.fit import load_checkpoint
from privacy_exp.runs.batches import forget_batches
from privacy_exp.runs.folder import RunFolder
from privacy_exp.runs.running import read_cell, running, write_cell
from privacy_exp.study.implied import implied
from privacy_exp.study.stages import anonymize
from privacy_exp.sweep.aligning import align_first
from privacy_exp.sweep.certify import ratio_of
from privacy_exp.sweep.configuration import check_keys, plain_config

log = logging.getLogger(__name__)


def anonymize_crops(config: DictConfig) -> None:
    """Writes original, mask and result of every photo into `out`.

    Without `recognition.checkpoint` only methods that need no recogniser work. Photos without identities, or of people
    whom the recogniser does not know, are explained by what it predicts, and their class id in the file names is
    "unknown".

    Args:
        config: composed from conf/anonymize.yaml.

    Raises:
        UserError: input that cannot be used; the message names it and the way out.
    """
    check_keys(config)
    config = align_first(config)
    plain = plain_config(config)
    masker, inpainter, data = (instantiate(config[part]) for part in ("masking", "inpainting", "data"))
    data.setup()
    masker = implied(masker, inpainter)
    check_domain(inpainter, data.domain)
    for line in data.skipped:
        log.warning("left out: %s", line)
    log.info("%s", data.summary())
    if data.skipped and data.identities:
        log.warning("data.labelled=false takes every photo that can be read")
    ratio: float | None = ratio_of(config, plain, data.digest())
    if isinstance(masker, OwnArea):
        ratio = None
        log.warning("`mask_ratio` is ignored: masking=%s decides itself how much it hides.", type(masker).__name__)
    recognizer, known = None, False
    if config.recognition.checkpoint is not None:
        recognizer = load_checkpoint(config.recognition.checkpoint)
        height, width = data.image_size
        recognizer.meet_frames(height, width, data.known_template())
        known = checkpoint_identities(config.recognition.checkpoint) == data.identities
        recognizer.choose_target_layer(config.recognition.target_layer)
        recognizer.to("cuda" if plain["trainer"]["accelerator"] in ("gpu", "cuda") else "cpu")
    elif not masker.blind:
        raise UserError(
            f"masking={type(masker).__name__} explains a recogniser: give one with recognition.checkpoint=RUN_OR_FILE."
        )
    photos = [photo for part in ("train", "val", "test") for photo in data.photos[part]]
    size = config.batch_size
    inpainter.fit(data.faces(photos[i : i + size]) for i in range(0, len(photos), size))
    masker.fit((data.faces(photos[i : i + size]) for i in range(0, len(photos), size)), recognizer)
    batches = (data.faces(photos[i : i + size]) for i in range(0, len(photos), size))
    out = Path(config.out)
    checkpoint = config.recognition.checkpoint
    parts = {name: plain[name] for name in ("masking", "inpainting", "seed", "image_format")}
    parts |= {"mask_ratio": ratio, "target_layer": config.recognition.target_layer}
    parts["recognizer"] = None if checkpoint is None else file_digest(checkpoint_file(checkpoint))
    code = [sources("privacy_exp.study.stages"), sources(type(data))]
    tools = {"masking": masker.keys(), "inpainting": inpainter.keys()}
    key = content_key({"data": data.digest(), "parts": scientific(parts), "code": code, "tools": tools})
    with running(out):
        if (read_cell(out) or {}).get("key") != key:  # with the same settings a killed run goes on
            kept = [kind for kind in ("original", "masks", "results") if RunFolder(out).has(kind)]
            if kept:
                raise UserError(
                    f"`out` holds pictures of other photos or settings ({', '.join(kept)} in {out}), and old and new "
                    "ones would be mixed. Name a new folder, or delete that one."
                )
            forget_batches(out)
        write_cell(out, key, len(photos))
        anonymize(
            (batch if known else batch._replace(labels=None) for batch in batches),
            len(photos),
            recognizer,
            masker,
            inpainter,
            ratio or 0.0,
            config.seed,
            RunFolder(out, config.image_format, config.layout),
            control=False,
        )
        forget_batches(out)
    print(f"{len(photos)} photos anonymised; results {out / 'results'}")
