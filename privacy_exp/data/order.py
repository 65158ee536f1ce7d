"""In which order photos are learnt from: a function of the seed, the epoch and the photos' ids, of nothing else."""

from collections.abc import Iterator, Sequence

from torch.utils.data import Sampler

from privacy_exp.data.identity_split import seeded_order


class SeededOrder(Sampler[int]):
    """Positions of `ids`, in another order each epoch.

    How many processes load, which photos take part besides, and what else was drawn change nothing about the order of
    two photos. Lightning sets the epoch; a plain loop over the loader counts it.

    Args:
        ids: of the photos, each once.
        seed: of the fit.

    Example:
        >>> order = SeededOrder(["a", "b", "c", "d"], seed=0)
        >>> order.set_epoch(3)
        >>> first = list(order)
        >>> order.set_epoch(3)
        >>> first == list(order), sorted(first)
        (True, [0, 1, 2, 3])
    """

    def __init__(self, ids: Sequence[str], seed: int) -> None:
        self.places = {name: place for place, name in enumerate(ids)}
        self.seed = seed
        self.epoch = 0

    def __len__(self) -> int:
        return len(self.places)

    def __iter__(self) -> Iterator[int]:
        order = seeded_order(self.places, self.seed, f"epoch {self.epoch}")
        self.epoch += 1
        return iter([self.places[name] for name in order])

    def set_epoch(self, epoch: int) -> None:
        """Says which epoch comes next."""
        self.epoch = epoch
