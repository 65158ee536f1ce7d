"""How pictures are saved; no torch here, so that a command line can be checked at once."""

from typing import Any

FORMATS: dict[str, dict[str, Any]] = {"jpg": {"quality": 95, "subsampling": 0}, "png": {"compress_level": 4}}
"""Image formats and how they are saved: JPEG at quality 95 with full colour resolution, or exact pixels."""
