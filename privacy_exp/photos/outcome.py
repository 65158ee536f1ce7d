"""What became of a folder of photos, and whether it is safe to hand out."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from privacy_exp.types import UserError


@dataclass
class Outcome:
    """What became of a folder.

    Attributes:
        rows: of all photos that were written: name, faces, and what the review shows of each.
        failed: name to the reason, of photos that were not written.
        unread: names of pictures in formats that are not read.
        unmarked: names of changed photos whose format has no place for the mark.
        stale: names of results of an earlier call whose photo is gone, or can't be read any more.
        others: how many files that are no pictures were not copied.
        thresholds: similarity from which each judge takes two faces for one person.
        looked_at: `face` of those that a person has looked at and lets pass, though a judge recognises them.
        keeping: the same for `keep_people`; None where nobody is kept.
    """

    rows: list[dict[str, Any]] = field(default_factory=list)
    failed: dict[str, str] = field(default_factory=dict)
    unread: list[str] = field(default_factory=list)
    unmarked: list[str] = field(default_factory=list)
    stale: list[str] = field(default_factory=list)
    others: int = 0
    thresholds: dict[str, float] = field(default_factory=dict)
    keeping: float | None = None
    looked_at: frozenset[str] = frozenset()

    @property
    def faces(self) -> list[dict[str, Any]]:
        """All faces of all photos."""
        return [face for row in self.rows for face in row["faces"]]

    @property
    def recognised(self) -> list[dict[str, Any]]:
        """Faces that a judge still recognises and nobody has let pass."""
        return [face for face in self.faces if face["recognised_by"] and face["face"] not in self.looked_at]

    @property
    def safe(self) -> bool:
        """Every photo was read, every face that was found treated or kept on purpose, none is recognised still."""
        done = all(face["treated"] or face["kept"] for face in self.faces)
        return done and not self.failed and not self.unread and not self.recognised

    def let_pass(self, looked_at: Sequence[str]) -> None:
        """Takes the word of a person who has looked at faces that a judge still recognises.

        Args:
            looked_at: their `face` in `faces.csv`, which holds for that very result.

        Raises:
            UserError: no face of these results is called so, or no judge recognises it.
        """
        open_to_it = {face["face"] for face in self.faces if face["treated"] and face["recognised_by"]}
        if wrong := sorted(set(looked_at) - open_to_it):
            raise UserError(
                f"`looked_at` takes faces that a judge still recognises, by their `face` in faces.csv of this `out` "
                f"({len(open_to_it)} there), but got {', '.join(wrong)}. "
                "A photo that was treated anew has to be looked at again."
            )
        self.looked_at = frozenset(looked_at)
