"""Random numbers that depend on names, never on order: one CPU generator per (seed, image id, purpose)."""

import hashlib

from torch import Generator


def generator(seed: int, *names: str) -> Generator:
    """A CPU generator seeded from `seed` and `names`, the same on every machine and in every order.

    Args:
        seed: the run's seed.
        names: what the numbers are for, such as the image id and "mask".
    """
    digest = hashlib.sha256("\0".join([str(seed), *names]).encode()).digest()
    return Generator().manual_seed(int.from_bytes(digest[:8], "big") >> 1)
