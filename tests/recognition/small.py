"""A recogniser and people small enough to be fitted in a test."""

import numpy as np
import torch
from torch import nn

from privacy_exp.data.base import FaceData
from privacy_exp.data.photo import Photo
from privacy_exp.recognition.base import Recognizer, cover


class Small(Recognizer):
    """Two convolutions; BatchNorm included, since it is what freezing tends to forget."""

    def __init__(self, num_classes=None, freeze="none", template=None, width=8, **of_facenet):
        del template, of_facenet  # the default config's keys, where this network takes FaceNet's place
        trunk = head = None
        if num_classes is not None:
            layers = [nn.Conv2d(3, width, 3, 2, 1), nn.BatchNorm2d(width), nn.ReLU()]
            trunk = nn.Sequential(*layers, nn.AdaptiveAvgPool2d(2), nn.Flatten())
            head = nn.Linear(4 * width, num_classes)
        super().__init__(trunk, head, num_classes, 16, freeze)

    def prepare(self, images):
        return cover(images, 16) - 0.5


class Colours(FaceData):
    """People told apart by the colour of their face."""

    def __init__(self, people=3, photos_each=10, **keys):
        super().__init__(**keys)
        self.people, self.photos_each = people, photos_each

    def index(self):
        return [Photo(f"p{i}x{k}", f"person{i}") for i in range(self.people) for k in range(self.photos_each)]

    def read(self, photo):
        i, k = (int(part) for part in photo.id[1:].split("x"))
        random = np.random.default_rng([i, k])
        colour = np.random.default_rng(i).uniform(40, 215, 3)
        return np.clip(random.normal(colour, 12, (20, 18, 3)), 0, 255).astype(np.uint8)


def state(recognizer):
    return {name: value.clone() for name, value in recognizer.state_dict().items()}


def same(a, b):
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)
