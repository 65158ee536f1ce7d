"""Certifies how much must be hidden so that few are recognised, and how sure that is.

privacy-exp certify data=celeba data.root=DIR methods=[face_oval] inpainting=blur judge=[onnx] [alpha=0.1 delta=0.1]
"""

from typing import Any

from omegaconf import DictConfig

from privacy_exp.sweep.entry import entry_point


def run(config: DictConfig) -> Any:
    """Prints the certificate, or why there is none; writes `certificate.json`, a figure and its numbers.

    Args:
        config: composed from conf/certify.yaml.

    Returns:
        The `Certificate`.

    Raises:
        UserError: input that cannot be used; the message names it and the way out.
    """
    from privacy_exp.sweep.certify import certify_and_write

    return certify_and_write(config)


main = entry_point("certify", run)

if __name__ == "__main__":
    main()
