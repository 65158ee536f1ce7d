"""What an attacker gathers: anonymised photos of its own making besides the run's test photos."""

from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path

from privacy_exp.cache.keys import scientific
from privacy_exp.cache.sources import sources
from privacy_exp.data.base import FaceData
from privacy_exp.data.files import examine_image, upright_size
from privacy_exp.evaluation.measure import Cost, Findings, Fits, Scene
from privacy_exp.runs.folder import RunFolder
from privacy_exp.types import Metric, UserError

LEARNT_FROM = ("train", "val")
"""Parts whose photos an attacker has anonymised for itself."""


def check_seed(seed: int) -> int:
    """An attacker's own seed.

    Raises:
        UserError: it is below 1: the attacker would draw the run's own masks and noise.
    """
    if seed < 1:
        raise UserError(f"`seed` of an attacker is added to the run's and must be at least 1, but got {seed}.")
    return seed


def check_photos(data: FaceData) -> None:
    """Checks that everybody has at least two photos: one to learn from and one to be recognised on.

    Args:
        data: after `setup()`.

    Raises:
        UserError: names how many people have too few, and the way out.
    """
    known = Counter(photo.identity for photo in data.photos["train"])
    asked = Counter(photo.identity for photo in data.photos["test"])
    lacking = sorted(str(identity) for identity in asked if known[identity] == 0)
    if lacking:
        raise UserError(
            "`attacker` needs at least 2 images of each identity, one to learn from (train) and one to be recognised "
            f"on (test), but {len(lacking)} of {len(asked)} identities have none to learn from, such as "
            f"{lacking[0]!r}. Set data.min_images_per_identity=2 and a data.split with a share for train, or leave the "
            "attacker out."
        )


def further_photos(scene: Scene, name: str) -> tuple[FaceData, Callable[[str, int], RunFolder]]:
    """The run's data, and the means to anonymise more of it.

    Raises:
        UserError: the scene is a folder made elsewhere, which has neither.
    """
    if scene.data is None or scene.anonymize is None:
        raise UserError(
            f"{name} anonymises further photos of the same people, but a folder of finished pictures has none. Attack "
            f"in the run itself: python -m privacy_exp.train attacker=[{name.rpartition('/')[2]}]."
        )
    return scene.data, scene.anonymize


def own_pictures(scene: Scene, name: str, seed: int) -> dict[str, RunFolder]:
    """Part to folder: training and validation photos anonymised by the attacker, and the run's test photos.

    Args:
        scene: the run.
        name: the attacker's, for messages.
        seed: the attacker's own, added to the run's.
    """
    data, anonymize = further_photos(scene, name)
    check_photos(data)
    made = {part: anonymize(part, scene.seed + seed) for part in LEARNT_FROM if data.photos[part]}
    check_apart(made, scene.folder, name)
    return {**made, "test": scene.folder}


def check_apart(learnt: Mapping[str, RunFolder], tested: RunFolder, name: str) -> None:
    """Checks that no tested photo is, to the bit, one that is learnt from: else the picture is known, not the person.

    The originals are compared: what an anonymiser makes of them may well be equal, as black frames are. Of a photo that
    was saved anew the data's own check warns, since looking alike proves nothing.

    Args:
        learnt: part to folder.
        tested: the run's.
        name: the attacker's, for messages.

    Raises:
        UserError: names such a pair, and the way out.
    """
    known: dict[str, str] = {}
    for folder in learnt.values():
        known |= {examine_image(path).content: photo for photo, (path, _) in folder.list("original").items()}
    asked = {photo: examine_image(path).content for photo, (path, _) in tested.list("original").items()}
    copies = [(photo, known[content]) for photo, content in asked.items() if content in known]
    if copies:
        raise UserError(
            f"{name} would learn from the pictures it is tried on: {len(copies)} of {len(asked)} test photos are also "
            f"among those of {' and '.join(learnt)}, such as {copies[0][0]} (there {copies[0][1]}). It would know the "
            "picture, not the person. Give copies one group in groups.csv and split anew, or remove them."
        )


def lacks(scene: Scene, painted: bool) -> str | None:
    """Why a scene has no further photos to learn from; None where it has.

    Args:
        scene: the run, or a folder made elsewhere.
        painted: whether they are to be anonymised.
    """
    if scene.data is None:
        return "a folder of finished pictures has no other photos to learn from"
    if painted and scene.anonymize is None:
        return "a folder of finished pictures cannot anonymise other photos to learn from"
    first, _ = next(iter(scene.folder.list("original").values()))
    if scene.frame is None and upright_size(first) != scene.data.image_size:
        return "the run's masking method cut frames of its own, and only the run knows how"
    return None


def nothing_found(scene: Scene, name: str, reason: str) -> Findings:
    """The figures of an attacker that names people, all null, with the reason."""
    none = Metric(None, None, None, len(scene.table), reason)
    return Findings({f"{name}/accuracy": none, f"{name}/recovered_share": none})


def originals(scene: Scene, name: str, part: str) -> RunFolder:
    """A part's originals as the run's masking method frames them, saved in the run's own format, kept in the store.

    Args:
        scene: the run.
        name: the attacker's, for messages.
        part: "train" or "val".

    Raises:
        UserError: the scene has no such photos; see `lacks`.
    """
    data, reason = scene.data, lacks(scene, painted=False)
    if data is None or reason:
        raise UserError(
            f"{name} learns from further photos, but {reason}. Attack in the run itself: privacy-exp train."
        )
    image_format = str(scene.config["image_format"])
    frame = scene.frame or (lambda faces: faces)

    def compute(folder: Path) -> None:
        for faces in map(frame, data.batches(part)):
            RunFolder(folder, image_format).save("original", faces.ids, faces.labels, faces.images)

    code = [sources(__name__), sources(type(data))]
    fields = {"data": data.digest(), "part": part, "image_format": image_format, "code": code}
    if scene.frame is not None:
        fields["masking"] = scientific(scene.config["masking"])
    folder = RunFolder(scene.store.fetch("originals", fields, compute)[0])
    check_apart({part: folder}, scene.folder, name)
    return folder


def own_cost(data: FaceData, seed: int, *fits: Fits) -> Cost:
    """The cost of `own_pictures` and of fits.

    Args:
        data: after `setup()`.
        seed: of the attacker's pictures: the run's and its own together.
        fits: trainings.
    """
    return Cost(fits, frozenset((part, seed) for part in LEARNT_FROM if data.photos[part]))
