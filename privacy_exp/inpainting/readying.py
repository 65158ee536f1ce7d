"""A pipeline as it paints: scheduler, LoRA, memory layout, device and compiler."""

import torch
from torch import nn

from privacy_exp.inpainting.compiling import GRAPHS, compile_network
from privacy_exp.inpainting.loading import Pipeline, load_pipeline, scheduler_named
from privacy_exp.inpainting.lora import fuse_lora
from privacy_exp.inpainting.precision import device_named, dtype_named
from privacy_exp.inpainting.settings import Lora, Runtime, Sampling


def ready(
    checkpoint: str, revision: str | None, variant: str | None, lora: Lora | None, sampling: Sampling, runtime: Runtime
) -> Pipeline:
    """The pipeline of a checkpoint with its scheduler and LoRA, on its device.

    Args:
        checkpoint: as in `load_pipeline`.
        revision: as there.
        variant: as there.
        lora: fused in.
        sampling: names the scheduler.
        runtime: device, format, layout and compiler.
    """
    where = device_named(runtime.device)
    pipe = load_pipeline(checkpoint, revision, variant, dtype_named(runtime.dtype, where))
    if sampling.scheduler is not None:
        pipe.scheduler = scheduler_named(sampling.scheduler, pipe)
    if lora is not None:
        fuse_lora(pipe, lora)
    if where.type == "cpu" if runtime.channels_last == "auto" else runtime.channels_last:
        pipe.unet.to(memory_format=torch.channels_last)
        pipe.vae.to(memory_format=torch.channels_last)
    if runtime.offload:
        pipe.enable_model_cpu_offload(device=where)
    else:
        for part in pipe.components.values():
            if isinstance(part, nn.Module):
                part.to(where)
    if runtime.attention_slicing:
        pipe.enable_attention_slicing()
    if runtime.compile in (True, GRAPHS):
        compile_network(pipe.unet, where, graphs=runtime.compile == GRAPHS)
    return pipe
