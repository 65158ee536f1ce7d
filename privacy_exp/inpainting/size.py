"""The size that a checkpoint paints at."""

from collections.abc import Sequence

from privacy_exp.types import UserError


def native(native_size: int | Sequence[int] | None, trained_for: int | Sequence[int], step: int) -> tuple[int, int]:
    """Height and width in pixels.

    Args:
        native_size: what was asked for, n or (height, width); None for the size that it was trained for.
        trained_for: in pixels, from the checkpoint's config.
        step: pixels a latent cell spans; sizes must be multiples of it.

    Raises:
        UserError: for anything but one or two positive multiples of `step`.
    """
    asked = trained_for if native_size is None else native_size
    size = (asked, asked) if isinstance(asked, int) else tuple(asked)
    if len(size) != 2 or any(side < 1 or side % step for side in size):
        raise UserError(
            f"`native_size` must be one or two (height, width) positive multiples of {step} pixels, the side of this "
            f"checkpoint's latent cells, but got {native_size}."
        )
    return size[0], size[1]
