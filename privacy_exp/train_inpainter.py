"""Trains an inpainting checkpoint: autoencoder → UNet with text encoder → an ordinary diffusers folder.

python -m privacy_exp.train_inpainter [key=value ...]      torch is imported inside, so that --help is quick
"""

from pathlib import Path

from omegaconf import DictConfig

from privacy_exp.sweep.entry import entry_point


def run(config: DictConfig) -> Path:
    """Runs the configured stages and returns the folder of the checkpoint.

    Args:
        config: composed from conf/train_inpainter.yaml.

    Raises:
        UserError: input that cannot be used; the message names it and the way out.
    """
    from hydra.utils import instantiate
    from omegaconf import OmegaConf

    from privacy_exp.inpainting.training.stages import InpainterTraining
    from privacy_exp.sweep.aligning import align_first

    config = align_first(config)
    data = instantiate(config.data)
    plain = OmegaConf.to_container(config, resolve=True)
    training = InpainterTraining(data, instantiate(config.trainer), plain)  # type: ignore[arg-type]
    data.setup()
    return training.run()


main = entry_point("train_inpainter", run)

if __name__ == "__main__":
    main()
