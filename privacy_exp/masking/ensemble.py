"""The mean rank of several methods."""

from collections.abc import Mapping
from dataclasses import dataclass

from torch import Generator, nn

from privacy_exp.masking.base import Masker
from privacy_exp.masking.face_oval import FaceOval
from privacy_exp.masking.grad_cam import GradCAM
from privacy_exp.masking.iterative import mean_rank
from privacy_exp.masking.saliency import Saliency
from privacy_exp.types import Faces, Scores, UserError


@dataclass(eq=False)
class Ensemble(Masker):
    """Ranks pixels by the mean of the ranks that several methods give them.

    Args:
        members: the methods by name; their own granularity and region are not used. None: Grad-CAM, saliency and the
            face oval.

    Example:
        >>> from privacy_exp.masking.center import Center
        >>> from privacy_exp.masking.random_patches import RandomPatches
        >>> both = Ensemble({"center": Center(), "random": RandomPatches()})
        >>> int(both.mask(Faces(["a"], torch.rand(1, 3, 32, 32)), mask_ratio=0.25).sum())
        256
    """

    members: Mapping[str, Masker] | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        default = {"grad_cam": GradCAM(), "saliency": Saliency(), "face_oval": FaceOval()}
        members = default if self.members is None else dict(self.members)
        wrong = [name for name, member in members.items() if not isinstance(member, Masker)]
        if len(members) < 2 or wrong:
            raise UserError(f"`members` must be at least two methods that rank pixels, but got {', '.join(members)}.")
        self.methods = list(members.values())
        self.blind = all(method.blind for method in self.methods)
        self.draws = any(method.draws for method in self.methods)

    def score(self, faces: Faces, recognizer: nn.Module, generators: list[Generator]) -> Scores:
        """Mean rank in [0, 1)."""
        return mean_rank(method.score(faces, recognizer, generators) for method in self.methods)
