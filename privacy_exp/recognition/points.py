"""Five points of each face: the data's own, else those that MTCNN finds."""

from functools import cache

import torch
from facenet_pytorch import MTCNN

from privacy_exp.data.base import CELEBA_TEMPLATE
from privacy_exp.types import Faces, Landmarks


def five_points(faces: Faces) -> Landmarks:
    """The data's landmarks; where it has none, MTCNN's on the picture enlarged twice, else CelebA's template.

    Reference: Zhang et al., Joint Face Detection and Alignment using Multitask Cascaded Convolutional Networks, 2016.
    """
    if faces.landmarks is not None:
        return faces.landmarks
    height, width = faces.images.shape[-2:]
    template = torch.tensor(CELEBA_TEMPLATE) * torch.tensor([width / 178, height / 218])
    enlarged = torch.nn.functional.interpolate(faces.images, scale_factor=2, mode="bilinear", align_corners=False)
    pixels = (enlarged * 255).round().byte().permute(0, 2, 3, 1).cpu().numpy()
    found = []
    for image in pixels:  # one at a time: a batch would make an image's result depend on its neighbours
        _, _, points = _detector().detect(image, landmarks=True)
        found.append(template if points is None else torch.from_numpy(points[0]).float() / 2)
    return torch.stack(found).to(faces.images)


@cache
def _detector() -> MTCNN:
    return MTCNN(select_largest=True, post_process=False)
