"""Which face comes back: how alike results of one photo, of one person and of different people look to judges."""

from pathlib import Path
from typing import final

import numpy as np
from jaxtyping import Float, Shaped

from privacy_exp.evaluation.attackers.embedding import embed_files, embedder_for
from privacy_exp.evaluation.judges.judge import Judge, groups_of_photos
from privacy_exp.evaluation.measure import Findings, Measure, Scene
from privacy_exp.evaluation.score import further_draws
from privacy_exp.evaluation.utility.pictures import mean_of_present
from privacy_exp.evaluation.verification import genuine_pairs
from privacy_exp.masking.target import Embeds
from privacy_exp.types import Metric

Array = np.ndarray

KINDS = ("same_person_similarity", "other_people_similarity", "draws_similarity")
NO_PAIR = {
    KINDS[0]: "no person has two photos whose results could be embedded",
    KINDS[1]: "fewer than two people have results that could be embedded",
    KINDS[2]: "one picture of each face was painted: inpainting.num_draws=8 paints more",
}


@final
class SameFace(Measure):
    """Cosine similarities between results, by each judge of the run: whether photos of one person become one new face.

    Each photo counts with the mean over its own pairs, each figure is the mean over photos, and its interval is over
    people; for pairs of two people it counts the first one's alone and is a little too narrow.

    - `utility/same_person_similarity_<judge>`: of two photos of one person that are not of one group (the same shoot).
      Higher: the same new face; as low as the next figure: another one for every photo;
    - `utility/other_people_similarity_<judge>`: of photos of two people. Higher: everybody becomes the same face;
    - `utility/draws_similarity_<judge>`: of the pictures that `inpainting.num_draws` paints of one photo. Lower: more
      diverse.

    Without a judge, or without such pairs, they are null and say why.

    Example:
        >>> SameFace().needs_data
        False
    """

    needs_data = False
    needs_target = False

    def measure(self, scene: Scene, name: str) -> Findings:
        """Compares the results with each other; see `Measure`."""
        group, n = name.partition("/")[0], len(scene.table)
        if not scene.judges:
            reason = "nobody looks: choose a judge, such as judge=[dlib]"
            return Findings({f"{group}/{kind}": Metric(None, None, None, n, reason) for kind in KINDS})
        people, groups = scene.table["identity"].to_numpy(str), groups_of_photos(scene)
        found = Findings()
        for full, judge in scene.judges.items():
            stem = full.rpartition("/")[2]
            draws = _embeddings(scene, judge)
            values = of_one_person(draws[0], people, groups), of_other_people(draws[0], people), of_draws(draws)
            for kind, own in zip(KINDS, values, strict=True):
                found.metrics[f"{group}/{kind}_{stem}"] = mean_of_present(own, people, NO_PAIR[kind])
                found.columns[f"{group}/{kind}_{stem}"] = own
        return found


def _embeddings(scene: Scene, judge: Embeds) -> Float[Array, "draws n d"]:
    """Each picture of each photo; NaN where it could not be embedded."""
    embedder = embedder_for(judge, scene)

    def seen(paths: list[Path]) -> Float[Array, "n d"]:
        if isinstance(embedder, Judge):
            return embedder.viewer.files(scene, paths).vectors
        return embed_files(embedder, paths, scene.device)

    listings = scene.folder.list("results"), *further_draws(scene.folder).values()
    return np.stack([seen([listing[i][0] for i in scene.table["image_id"]]) for listing in listings])


def of_one_person(
    vectors: Float[Array, "n d"], people: Shaped[Array, " n"], groups: Shaped[Array, " n"]
) -> Float[Array, " n"]:
    """Mean similarity of each photo to the person's other photos; NaN where there are none.

    Args:
        vectors: rows of unit norm, or of NaN.
        people: who is on them.
        groups: of photos that are nearly one.

    Example:
        >>> vectors = np.array([[1.0, 0], [1, 0], [0, 1], [0, 1]])
        >>> of_one_person(vectors, np.array([0, 0, 0, 1]), np.arange(4))
        array([0.5, 0.5, 0. , nan])
    """
    pairs = genuine_pairs(vectors, vectors, people, groups)
    known = np.isfinite(pairs.similarity)
    return _mean(pairs.similarity[known], pairs.probe[known], len(people))


def of_other_people(vectors: Float[Array, "n d"], people: Shaped[Array, " n"]) -> Float[Array, " n"]:
    """Mean similarity of each photo to all photos of other people; NaN where there are none.

    Args:
        vectors: rows of unit norm, or of NaN.
        people: who is on them.

    Example:
        >>> of_other_people(np.array([[1.0, 0], [1, 0], [0, 1]]), np.array([0, 1, 1])).tolist()
        [0.5, 1.0, 0.0]
    """
    usable = np.isfinite(vectors).all(1)
    known = np.where(usable[:, None], vectors.astype(np.float64), 0.0)
    _, index = np.unique(people, return_inverse=True)
    sums = np.zeros((index.max(initial=-1) + 1, vectors.shape[1]))
    np.add.at(sums, index, known)
    others = usable.sum() - np.bincount(index, weights=usable)[index]
    with np.errstate(invalid="ignore", divide="ignore"):
        mean = (known * (sums.sum(0) - sums[index])).sum(1) / others
    return np.where(usable & (others > 0), mean, np.nan)


def of_draws(draws: Float[Array, "draws n d"]) -> Float[Array, " n"]:
    """Mean similarity of two pictures of one photo, over all pairs that could be embedded; NaN where there are none.

    Args:
        draws: rows of unit norm, or of NaN.

    Example:
        >>> of_draws(np.array([[[1.0, 0]], [[1, 0]], [[0, 1]]])).round(3).tolist()
        [0.333]
    """
    usable = np.isfinite(draws).all(2)
    known = np.where(usable[..., None], draws.astype(np.float64), 0.0)
    count = usable.sum(0)
    with np.errstate(invalid="ignore", divide="ignore"):
        # |Σ v|² = Σ |v|² + twice the sum over pairs
        mean = ((known.sum(0) ** 2).sum(1) - (known**2).sum((0, 2))) / (count * (count - 1))
    return np.where(count > 1, mean, np.nan)


def _mean(values: Float[Array, " pairs"], rows: Shaped[Array, " pairs"], n: int) -> Float[Array, " n"]:
    counts = np.bincount(rows, minlength=n)
    with np.errstate(invalid="ignore"):
        return np.where(counts > 0, np.bincount(rows, weights=values, minlength=n) / counts, np.nan)
