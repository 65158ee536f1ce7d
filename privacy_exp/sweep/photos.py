"""Whole photos from a configuration: what `privacy-exp anonymize photos=DIR` and `privacy-exp prepare` do."""

from pathlib import Path

from hydra.utils import instantiate
from omegaconf import DictConfig

from privacy_exp import UserError
from privacy_exp.cache.keys import file_digest, scientific
from privacy_exp.cache.sources import sources
from privacy_exp.inpainting.domain import check_domain
from privacy_exp.photos.files import check_metadata
from privacy_exp.photos.folder import anonymize_folder
from privacy_exp.photos.keeping import KnownPeople
from privacy_exp.photos.looking import watcher
from privacy_exp.photos.prepare import prepare
from privacy_exp.photos.review import closing, write_review, write_table
from privacy_exp.photos.treating import LookingAgain, PhotoAnonymizer
from privacy_exp.recognition.checkpoint import checkpoint_file, load_checkpoint
from privacy_exp.study.implied import implied
from privacy_exp.sweep.certify import ratio_of
from privacy_exp.sweep.configuration import check_keys, plain_config

DECIDING = (
    *("masking", "inpainting", "detector", "judge", "mask_ratio", "until", "tries", "threshold", "keep", "keep_people"),
    "seed",
)
"""Keys that decide the results; photos of other settings are not mixed."""


def anonymize_photos(config: DictConfig) -> bool:
    """Writes every photo anew, with `faces.csv` and `review.html` beside them, and says what happened.

    Args:
        config: composed from conf/anonymize.yaml, with `photos`.

    Returns:
        Whether every photo was read, every face that was found treated or kept on purpose, and none is recognised by a
        chosen judge.

    Raises:
        UserError: input that cannot be used; the message names it and the way out.
    """
    check_keys(config)
    plain = plain_config(config, except_for=("data",))
    source, out = Path(config.photos).expanduser(), Path(config.out).expanduser()
    ratio = ratio_of(config, plain)
    kept_tags, looked_at = _names(config, "keep_metadata"), _names(config, "looked_at")
    check_metadata(kept_tags)
    if config.mask_ratio == 0:
        raise UserError("`mask_ratio` must be above 0, or nothing would be hidden, but got 0.")
    inpainter, masker, finder = (instantiate(config[part]) for part in ("inpainting", "masking", "detector"))
    masker = implied(masker, inpainter)
    check_domain(inpainter, "photos")
    checkpoint, recognizer = config.recognition.checkpoint, None
    if checkpoint is not None:
        recognizer = load_checkpoint(checkpoint)
        recognizer.choose_target_layer(config.recognition.target_layer)
    elif not masker.blind:
        raise UserError(
            f"masking={type(masker).__name__} explains a recogniser: give one with recognition.checkpoint=RUN_OR_FILE."
        )
    watchers = [
        watcher(name, instantiate(part.embedder), config.threshold.get(name)) for name, part in config.judge.items()
    ]
    people = None
    if config.keep_people is not None:
        if not watchers:
            raise UserError("`keep_people` needs somebody who knows faces: choose a judge, such as judge=[dlib].")
        people = KnownPeople(Path(config.keep_people).expanduser(), watchers[0], finder, (218, 178))
        for line in people.left_out:
            print(f"keep_people: left out {line}")
    treat = PhotoAnonymizer(
        masker,
        inpainter,
        ratio,
        finder=finder,
        looking=LookingAgain(tuple(watchers), config.until, config.tries),
        keep=_names(config, "keep"),
        people=people,
        recognizer=recognizer,
        seed=int(config.seed),
    )
    settings = scientific({name: plain[name] for name in DECIDING})
    settings["recognizer"] = None if checkpoint is None else file_digest(checkpoint_file(checkpoint))
    settings["mask_ratio"] = ratio
    settings["inpainting"] |= inpainter.keys()
    settings["masking"] |= masker.keys()
    settings["code"] = sources(anonymize_folder.__module__)
    outcome = anonymize_folder(source, out, treat, settings, int(config.batch_size), kept_tags)
    write_table(out, outcome)
    try:
        outcome.let_pass(looked_at)
    finally:  # the page, too, says which faces there are
        review = write_review(out, outcome, source if config.review.originals else None)
    print("\n".join(closing(outcome)))
    print(f"look at  {review}")
    print("to share: the photos alone; faces.csv, review.html and .privacy_exp are for you")
    return outcome.safe


def _names(config: DictConfig, key: str) -> list[str]:
    """A key that takes a list of names.

    Raises:
        UserError: one name without brackets.
    """
    if isinstance(config[key], str):
        raise UserError(f"`{key}` takes a list: {key}=[{config[key]}].")
    return [str(name) for name in config[key]]


def prepare_people(config: DictConfig) -> None:
    """Writes aligned crops with landmarks, and says what was left out.

    Args:
        config: composed from conf/prepare.yaml.

    Raises:
        UserError: input that cannot be used; the message names it and the way out.
    """
    people, out = Path(config.people).expanduser(), Path(config.out).expanduser()
    done = prepare(people, out, instantiate(config.detector))
    print(f"{len(done.written)} crops written, {len(done.left_out)} photos left out")
    for name, reason in list(done.left_out.items())[:5]:
        print(f"left out: {name}: {reason}")
    print(f"next     privacy-exp train data=folder data.root={out}")
