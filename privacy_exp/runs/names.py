"""What parts and values are called where people read: one place for terminal, page, figures and papers."""

from collections.abc import Mapping

NAMES = {
    "celeba": "CelebA",
    "synthetic": "drawn faces",
    "synthetic_training": "drawn faces",
    "folder": "own photos",
    "pairs": "pairs from another tool",
    "facenet_scratch": "FaceNet",
    "facenet_casia": "FaceNet (CASIA)",
    "facenet_vggface2": "FaceNet (VGGFace2)",
    "onnx": "ONNX recogniser",
    "original": "FaceNet as first published",
    "original_scratch": "FaceNet as first published",
    "eigen_cam": "Eigen-CAM",
    "face_oval": "Face oval",
    "grad_cam": "Grad-CAM",
    "grad_cam_plus_plus": "Grad-CAM++",
    "gradient_x_input": "Gradient × input",
    "hi_res_cam": "HiResCAM",
    "layer_cam": "LayerCAM",
    "minimal": "Smallest area",
    "nothing": "Nothing hidden",
    "original_grad_cam": "Grad-CAM as first published",
    "original_random": "Random patches as first published",
    "original_saliency": "Saliency as first published",
    "rise": "RISE",
    "score_cam": "Score-CAM",
    "smooth_grad": "SmoothGrad",
    "identity": "No repainting",
    "k_same": "k-Same",
    "opencv_telea": "OpenCV Telea",
    "sd15": "Stable Diffusion 1.5",
    "sd15_lcm": "Stable Diffusion 1.5, LCM",
    "sd2": "Stable Diffusion 2",
    "sdxl": "Stable Diffusion XL",
    "faces": "the shipped face painter",
    "tiny": "the tiny diffusion model",
    "tiny_fast": "the tiny diffusion model, fast",
    "tool/deep_privacy2": "DeepPrivacy2",
    "tool/deface_blur": "deface, blur",
    "tool/deface_mosaic": "deface, mosaic",
    "tool/deface_solid": "deface, black boxes",
    "tool/fams": "FAMS",
    "tool/fantomas": "Fantomas",
    "tool/nullface": "NullFace",
    "vae_round_trip": "Autoencoder alone",
    "dlib": "dlib",
    "target": "the target recogniser",
}
"""Stem of a yaml to its name; every other stem is its own words."""

CONTROLS = ("random_patches", "random_pixels", "original_random", "nothing", "everything", "center")
"""Methods that look at nothing: they stand last, and grey and dashed in figures."""

SWITCHES = ("repel",)
"""Last parts of keys that are a strength where they have a value: null turns them off. Any other null is none."""


def display_name(stem: object) -> str:
    """The name of a part by the stem of its yaml, or of several parts.

    Example:
        >>> display_name("grad_cam"), display_name("random_patches"), display_name("my_own")
        ('Grad-CAM', 'Random patches', 'My own')
    """
    if stem is None or stem == []:
        return value_name(stem)
    if isinstance(stem, list | tuple):
        return ", ".join(display_name(one) for one in stem)
    text = str(stem)
    if text in NAMES or not text.isidentifier() or text != text.lower():
        return NAMES.get(text, text)  # what is no stem is somebody's own name
    words = text.replace("_", " ").strip()
    return words[:1].upper() + words[1:]


def value_name(value: object, key: str = "") -> str:
    """A value of the configuration in words; null, true and false are words of its files alone.

    Args:
        value: plain.
        key: dotted, whose value it is.

    Example:
        >>> value_name(None, "inpainting.repel"), value_name(None), value_name(2.0), value_name([64, 48])
        ('off', 'none', '2', '64, 48')
    """
    if value is None:
        return "off" if key.rpartition(".")[2] in SWITCHES else "none"
    if isinstance(value, bool):
        return "on" if value else "off"
    if isinstance(value, float):
        return f"{value:g}"
    if isinstance(value, Mapping):
        return ", ".join(f"{name} {value_name(one, str(name))}" for name, one in value.items()) or "none"
    if isinstance(value, list | tuple):
        return ", ".join(map(value_name, value)) or "none"
    return str(value)


def name_order(stem: object) -> tuple[bool, str]:
    """Sorts parts for tables, charts and legends alike: by name, those that look at nothing last."""
    return str(stem) in CONTROLS, display_name(stem).lower()
