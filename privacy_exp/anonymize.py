"""Anonymises a folder of whole photos, or of aligned face crops.

privacy-exp anonymize photos=DIR out=OUT inpainting=blur [judge=[dlib] until=unrecognised]
privacy-exp anonymize data=folder data.root=DIR recognition.checkpoint=RUN out=OUT
"""

import sys

from omegaconf import DictConfig

from privacy_exp.sweep.entry import entry_point


def run(config: DictConfig) -> None:
    """Writes the results into `out`; see `anonymize_photos` and `anonymize_crops`.

    The exit code is 3 where a photo was left out, a face was not treated, or a chosen judge still recognises somebody.

    Args:
        config: composed from conf/anonymize.yaml.

    Raises:
        UserError: input that cannot be used; the message names it and the way out.
    """
    if config.photos is None:
        from privacy_exp.sweep.crops import anonymize_crops

        anonymize_crops(config)
        return
    from privacy_exp.sweep.photos import anonymize_photos

    if not anonymize_photos(config):
        sys.exit(3)


main = entry_point("anonymize", run)

if __name__ == "__main__":
    main()
