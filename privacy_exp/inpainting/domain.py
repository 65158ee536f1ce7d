"""Whether a checkpoint has seen the kind of picture that it is given to paint."""

from privacy_exp.inpainting.base import Inpainter
from privacy_exp.types import UserError


def check_domain(inpainter: Inpainter, domain: str) -> None:
    """Refuse to paint photos with what was trained on drawn faces alone: it paints drawn eyes on real faces.

    Args:
        inpainter: about to paint.
        domain: of the pictures: "photos", or "drawn".

    Raises:
        UserError: naming the ways out.
    """
    if inpainter.domain == "drawn" and domain == "photos" and not inpainter.force:
        raise UserError(
            "`inpainting` is a checkpoint that was trained on drawn faces alone, but the data are photos: it would "
            "paint drawn features on real faces. Take inpainting=faces (shipped; soft, non-commercial research only), "
            "inpainting=sd15 (4 GB are fetched), a checkpoint of photos that you have (inpainting=diffusers), or what "
            "paints no new face: inpainting=blur, pixelate or mean_fill. "
            "inpainting.force=true paints them nevertheless."
        )
