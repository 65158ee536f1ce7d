"""An inpainter whose process dies once, as a machine does that is taken away."""

import os
import signal
from pathlib import Path

from counting import CountingFill


class DyingFill(CountingFill):
    """Mean fill that tells what it paints, and kills its process in one batch.

    Args:
        log: takes a line for each image; see `CountingFill`.
        victim: an image of the batch in which it dies.
    """

    def __init__(self, log: str, victim: str) -> None:
        super().__init__(log)
        self.victim = victim

    def repaint(self, faces, masks, generators):
        painted = super().repaint(faces, masks, generators)
        if self.victim in faces.ids:
            try:
                Path(f"{self.log}.died").touch(exist_ok=False)
            except FileExistsError:
                return painted
            os.kill(os.getpid(), signal.SIGKILL)
        return painted
