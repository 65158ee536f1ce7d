"""Small networks that look at an inpainter's pictures, trained on drawn faces that no checkpoint has seen."""

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from privacy_exp.data.drawn.drawing import draw
from privacy_exp.data.seeds import generator
from privacy_exp.types import Images


class SmallClassifier(nn.Module):
    """A convolutional network with a 64-number feature layer.

    Args:
        outputs: identities, or attributes.
        size: side of the pictures, a multiple of 16 pixels.
    """

    def __init__(self, outputs: int, size: int) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for before, after in ((3, 16), (16, 32), (32, 64), (64, 96)):
            layers += [nn.Conv2d(before, after, 3, stride=2, padding=1), nn.BatchNorm2d(after), nn.ReLU()]
        self.body = nn.Sequential(*layers, nn.Conv2d(96, 96, 3, padding=1), nn.BatchNorm2d(96), nn.ReLU())
        self.feature = nn.Linear(96 * (size // 16) ** 2, 64)
        self.head = nn.Linear(64, outputs)

    def features(self, images: Images) -> Float[Tensor, "n 64"]:
        """What the last layer sees.

        Args:
            images: RGB in [0, 1].
        """
        features: Tensor = self.feature(self.body(images * 2 - 1).flatten(1))
        return features

    def forward(self, images: Images) -> Float[Tensor, "n k"]:
        """One score an output.

        Args:
            images: RGB in [0, 1].
        """
        scores: Tensor = self.head(functional.relu(self.features(images)))
        return scores


def drawn(first: int, identities: int, each: int, size: int) -> tuple[Images, list[dict[str, bool]], Tensor]:
    """Drawn photos, their attributes and their identities counted from 0.

    Args:
        first: number of the first identity.
        identities: how many people.
        each: photos of each.
        size: side in pixels.
    """
    made = [draw(0, first + i, k, size) for i in range(identities) for k in range(each)]
    images = torch.stack([torch.from_numpy(one.image).permute(2, 0, 1) for one in made]).float() / 255
    return images, [one.attributes for one in made], torch.arange(identities).repeat_interleave(each)


def train_classifier(images: Images, targets: Tensor, outputs: int, epochs: int, seed: int = 0) -> SmallClassifier:
    """A classifier fitted by AdamW on a one-cycle schedule: cross-entropy for identities, binary for attributes.

    Args:
        images: RGB in [0, 1], two or more.
        targets: n identities as integers, or n × outputs attributes as numbers.
        outputs: of the classifier.
        epochs: passes.
        seed: of weights and order.
    """
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        classifier = SmallClassifier(outputs, images.shape[-1])
        batch = min(64, len(images))
        steps = epochs * (len(images) // batch)
        optimizer = torch.optim.AdamW(classifier.parameters(), weight_decay=1e-2)
        cycle = torch.optim.lr_scheduler.OneCycleLR(optimizer, 4e-3, total_steps=max(steps, 1))
        order = generator(seed, "judge")
        for _ in range(epochs):
            for rows in torch.randperm(len(images), generator=order)[: len(images) // batch * batch].split(batch):
                shift = torch.randint(-3, 4, (2,), generator=order).tolist()
                scores = classifier(images[rows].roll(shift, dims=(-2, -1)))
                if targets.dtype == torch.long:
                    loss = functional.cross_entropy(scores, targets[rows], label_smoothing=0.05)
                else:
                    loss = functional.binary_cross_entropy_with_logits(scores, targets[rows])
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
                cycle.step()
    return classifier.eval()


def as_targets(rows: Sequence[dict[str, bool]], names: Sequence[str]) -> Float[Tensor, "n k"]:
    """Attributes as numbers.

    Args:
        rows: of each photo.
        names: which, in order.
    """
    return torch.tensor([[float(row[name]) for name in names] for row in rows])
