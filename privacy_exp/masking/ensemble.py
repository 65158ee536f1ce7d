"""The mean rank of several methods."""

from collections.abc import Mapping

from torch import Generator, nn

from privacy_exp.masking.base import Masker
from privacy_exp.masking.iterative import mean_rank
from privacy_exp.types import Faces, Scores, UserError


class Ensemble(Masker):
    """Ranks pixels by the mean of the ranks that several methods give them.

    Args:
        members: the methods by name; their own granularity and region are not used.
        granularity: see `Masker`.
        region: see `Masker`.
    """

    def __init__(self, members: Mapping[str, Masker], granularity: int = 8, region: str = "frame") -> None:
        super().__init__(granularity, region)
        lone = [name for name, member in members.items() if not member.has_budget]
        if len(members) < 2 or lone:
            raise UserError(f"`members` must be at least two methods that rank pixels, but got {', '.join(members)}.")
        self.members = dict(members)
        self.draws = any(member.draws for member in members.values())

    def score(self, faces: Faces, recognizer: nn.Module, generators: list[Generator]) -> Scores:
        """Mean rank in [0, 1)."""
        return mean_rank(member.score(faces, recognizer, generators) for member in self.members.values())
