"""What a diffusion inpainter can be asked for, in groups: sampling, canvas, LoRA and runtime."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any, ClassVar

from privacy_exp.cache.configured import Configured
from privacy_exp.inpainting.compiling import GRAPHS
from privacy_exp.inpainting.precision import device_named, dtype_name
from privacy_exp.types import UserError, number

TARGET = "target"
"""What the run's own recogniser is called among those that steer."""


@dataclass(frozen=True)
class Sampling(Configured):
    """How a picture is denoised, and what the prompt asks for.

    Args:
        prompt: one string, or a template over the data's attributes (see `prompts.FIELDS`).
        negative_prompt: what guidance leads away from; None for the checkpoint's own unconditional embedding (zeros
            in SDXL).
        scheduler: class name in `diffusers.schedulers`; None keeps the checkpoint's own.
        num_inference_steps: denoising steps.
        guidance_scale: at least 1, which is off.
        guidance_interval: start and stop of the guided steps, as shares of them.
        strength: in (0, 1]; below 1 the hidden pixels shine through.
        same_new_face: whose noise each painting begins with: "photo" gives each photo its own, "person" all photos of
            a person the same, so that they come nearer to one new face.

    Raises:
        UserError: for a value outside its range.

    Example:
        >>> Sampling(num_inference_steps=20, guidance_scale=3.0).prompt
        'a photo of a face'
    """

    prompt: str = "a photo of a face"
    negative_prompt: str | None = ""
    scheduler: str | None = None
    num_inference_steps: int = 50
    guidance_scale: float = 7.5
    guidance_interval: Sequence[float] = (0.0, 1.0)
    strength: float = 1.0
    same_new_face: str = "photo"

    def __post_init__(self) -> None:
        at_least(1, num_inference_steps=self.num_inference_steps, guidance_scale=self.guidance_scale)
        number("strength", self.strength)
        if not 0 < self.strength <= 1 or int(self.num_inference_steps * self.strength) < 1:
            raise UserError(
                f"`strength` must lie in (0, 1] and leave at least one of the `num_inference_steps` = "
                f"{self.num_inference_steps}, but got {self.strength}."
            )
        if self.same_new_face not in ("photo", "person"):
            raise UserError(f"`same_new_face` must be photo or person, but got {self.same_new_face}.")
        _note(self, guidance_interval=_shares("guidance_interval", self.guidance_interval))


@dataclass(frozen=True)
class Canvas(Configured):
    """How large a checkpoint paints, which part of the frame it is shown, and what of its picture is kept.

    Args:
        native_size: pixels to paint at, n or (height, width); faces are resized there and back. None for the size that
            the UNet was trained for.
        crop: "none" shows the whole frame, "face" just a padded box around the mask, at the same native size.
        crop_padding: margin of that box on each side, as a share of the hidden area's longer side.
        seamless: spread the step at the mask's edge over the hidden region; see `blend.seamless`.
        keep_pixels: put kept pixels back as they are; false takes the checkpoint's whole picture, as the original study
            did.

    Raises:
        UserError: for a value outside its range.

    Example:
        >>> Canvas(crop="face", crop_padding=0.5).native_size is None
        True
    """

    native_size: int | Sequence[int] | None = None
    crop: str = "none"
    crop_padding: float = 0.25
    seamless: bool = True
    keep_pixels: bool = True

    def __post_init__(self) -> None:
        at_least(0, crop_padding=self.crop_padding)
        if self.crop not in ("none", "face"):
            raise UserError(f"`crop` must be none or face, but got {self.crop}.")
        if self.seamless and not self.keep_pixels:
            raise UserError(
                "`keep_pixels: false` takes the picture as it was painted, but `seamless` puts the kept pixels back: "
                "set inpainting.seamless=false too."
            )
        if self.native_size is not None and not isinstance(self.native_size, int):
            _note(self, native_size=tuple(self.native_size))


@dataclass(frozen=True)
class Lora(Configured):
    """Low-rank changes of a checkpoint's weights.

    Args:
        weights: folder, .safetensors file or hub id.
        revision: commit, tag or branch on the hub.
        scale: weight of the change, usually 1.

    Example:
        >>> Lora("latent-consistency/lcm-lora-sdv1-5").scale
        1.0
    """

    weights: str
    revision: str | None = None
    scale: float = 1.0

    def __post_init__(self) -> None:
        number("lora_scale", self.scale)


@dataclass(frozen=True)
class Repel(Configured):
    """How a face is pushed away from the person while it is painted; see `repelling.Repelling`.

    Args:
        strength: above 0; 1 moves the latents by a tenth of their spread in each step of the interval.
        interval: start and stop of these steps, as shares of all.
        until: cosine similarity below which a recogniser leaves a photo alone.
        model: ArcFace-style .onnx files that steer together; the word "target" among them stands for the run's own
            recogniser, which steers alone where there are none.
        every: acts in one of so many steps of the interval, and moves as many times as far in it: less time.

    Raises:
        UserError: for a value outside its range.

    Example:
        >>> Repel(2.0).interval
        (0.2, 0.7)
    """

    strength: float
    interval: Sequence[float] = (0.2, 0.7)
    until: float = 0.2
    model: Sequence[str] = ()
    every: float = 1

    def __post_init__(self) -> None:
        at_least(0, repel=self.strength)
        at_least(1, repel_every=self.every)
        if self.every != int(self.every):
            raise UserError(f"`repel_every` must be a whole number of steps, but got {self.every}.")
        if not -1 <= number("repel_until", self.until) < 1:
            raise UserError(f"`repel_until` is a cosine similarity, in [-1, 1), but got {self.until}.")
        if isinstance(self.model, str) or not all(isinstance(path, str) for path in self.model):
            raise UserError(f"`repel_model` must be a list of paths, [FILE.onnx,target], but got {self.model!r}.")
        _note(self, interval=_shares("repel_interval", self.interval), model=tuple(self.model))

    @property
    def steering(self) -> tuple[str, ...]:
        """Who steers, the run's own recogniser as `TARGET`."""
        return tuple(self.model) or (TARGET,)


@dataclass(frozen=True)
class Runtime(Configured):
    """Where and how fast a checkpoint runs; only the number format changes pictures by more than rounding.

    Args:
        dtype: float32, float16, bfloat16, or auto, which becomes float16 on a GPU and float32 elsewhere.
        device: a torch device, or auto.
        batch_size: images at a time; halved, with a warning, where memory runs out.
        channels_last: memory layout of the networks; auto takes it on a CPU alone, where convolutions like it.
        compile: compile the UNet with torch.compile: a minute or two for each batch shape, then faster; the code is
            kept on disk. Batches that are not full are filled up, so that one shape serves all. "auto" compiles after
            two batches where the rest of a run repays it, which depends on the machine's load, and rounding with it;
            "reduce-overhead" also replays calls as CUDA graphs, for networks so small that a GPU waits for them.
        offload: keep each part on the GPU only while it works.
        attention_slicing: less memory, slower.

    Raises:
        UserError: for a value outside its range.

    Example:
        >>> Runtime(device="cpu").dtype
        'float32'
    """

    without_effect: ClassVar[frozenset[str]] = frozenset(
        {"device", "batch_size", "channels_last", "compile", "offload", "attention_slicing"}
    )

    dtype: str = "auto"
    device: str = "auto"
    batch_size: int = 8
    channels_last: bool | str = "auto"
    compile: bool | str = False
    offload: bool = False
    attention_slicing: bool = False

    def __post_init__(self) -> None:
        at_least(1, batch_size=self.batch_size)
        if self.channels_last not in (True, False, "auto"):
            raise UserError(f"`channels_last` must be true, false or auto, but got {self.channels_last}.")
        if self.compile not in (True, False, "auto", GRAPHS):
            raise UserError(f"`compile` must be true, false, auto or {GRAPHS}, but got {self.compile}.")
        where = device_named(self.device)
        if self.compile == GRAPHS and where.type == "cpu":
            raise UserError(f"`compile: {GRAPHS}` makes CUDA graphs, but `device` is the CPU. Set it to true.")
        if self.offload and where.type == "cpu":
            raise UserError("`offload` moves parts between a GPU and memory, but `device` is the CPU. Set it to false.")
        # Keys and records name the format that was computed in, whatever machine reads them.
        _note(self, dtype=dtype_name(self.dtype, where))


GROUPS: dict[str, type[Sampling] | type[Canvas] | type[Runtime]] = {
    "sampling": Sampling,
    "canvas": Canvas,
    "runtime": Runtime,
}
_LORA = {"lora": "weights", "lora_revision": "revision", "lora_scale": "scale"}
_REPEL = {"repel": "strength"} | {f"repel_{name}": name for name in ("interval", "until", "model", "every")}
_OWN = ("checkpoint", "revision", "variant", "num_draws", "force")


def grouped(flat: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments of `DiffusionInpainter` from the flat keys of a yaml or a command line.

    Args:
        flat: names of the fields of `Sampling`, `Canvas` and `Runtime`, `lora` and `repel` with what begins
            like them, and the constructor's own arguments. A whole group may be given as an object, which then wins.

    Raises:
        UserError: for a name that is none of these.
    """
    names = {group: [field.name for field in fields(kind)] for group, kind in GROUPS.items()}
    known = [*_OWN, *_LORA, *_REPEL, *GROUPS, *(name for group in names.values() for name in group)]
    if unknown := [name for name in flat if name not in known]:
        raise UserError(f"`{unknown[0]}` is not a setting of a diffusion inpainter. They are {', '.join(known)}.")
    made: dict[str, Any] = {name: flat[name] for name in _OWN if name in flat}
    for group, kind in GROUPS.items():
        made[group] = flat.get(group) or kind(**{name: flat[name] for name in names[group] if name in flat})
    lora = flat.get("lora")
    if isinstance(lora, str):
        lora = Lora(**{field: flat[name] for name, field in _LORA.items() if name in flat})
    repel = flat.get("repel")
    if repel is not None and not isinstance(repel, Repel):
        repel = Repel(**{field: flat[name] for name, field in _REPEL.items() if name in flat})
    return made | {"lora": lora, "repel": repel}


def _shares(name: str, value: Any) -> tuple[float, ...]:
    """Start and stop of some steps, as shares of all."""
    if isinstance(value, str) or not isinstance(value, Sequence):
        raise UserError(f"`{name}` must be a list, [start, stop], but got {value}.")
    pair = tuple(float(number(name, part)) for part in value)
    if len(pair) != 2 or not 0 <= pair[0] < pair[1] <= 1:
        raise UserError(f"`{name}` must be [start, stop] with 0 <= start < stop <= 1, but got {list(pair)}.")
    return pair


def at_least(least: float, **values: Any) -> None:
    """Check numbers against a lower bound.

    Args:
        least: the smallest value allowed.
        values: by the name of the argument.

    Raises:
        UserError: for a smaller value, or one that is not a number.
    """
    for name, value in values.items():
        if number(name, value) < least:
            raise UserError(f"`{name}` must be at least {least}, but got {value}.")


def _note(part: Configured, **values: Any) -> None:
    """Set fields of a frozen group to their normal form, also in what it remembers of its arguments."""
    for name, value in values.items():
        object.__setattr__(part, name, value)
        part._arguments[name] = list(value) if isinstance(value, tuple) else value
