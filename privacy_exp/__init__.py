"""How well does hiding and repainting face regions protect people from face recognisers?"""

import sys
from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from privacy_exp.data.celeba import CelebA as CelebA
    from privacy_exp.data.drawn.faces import DrawnFaces as DrawnFaces
    from privacy_exp.data.folder import Folder as Folder
    from privacy_exp.evaluation.attackers.gallery import Gallery as Gallery
    from privacy_exp.evaluation.attackers.linkage import Linkage as Linkage
    from privacy_exp.evaluation.attackers.parrot import Parrot as Parrot
    from privacy_exp.evaluation.attackers.parrot_open import ParrotOpen as ParrotOpen
    from privacy_exp.evaluation.attackers.purification import Purification as Purification
    from privacy_exp.evaluation.attackers.reconstruction import Reconstruction as Reconstruction
    from privacy_exp.evaluation.attackers.several_photos import SeveralPhotos as SeveralPhotos
    from privacy_exp.evaluation.attackers.whole_frame import WholeFrame as WholeFrame
    from privacy_exp.evaluation.attackers.whole_frame_net import WholeFrameNet as WholeFrameNet
    from privacy_exp.evaluation.judges.judge import Judge as Judge
    from privacy_exp.evaluation.judges.named import DlibJudge as DlibJudge
    from privacy_exp.evaluation.judges.named import FaceNetJudge as FaceNetJudge
    from privacy_exp.evaluation.judges.named import IndependentJudge as IndependentJudge
    from privacy_exp.evaluation.judges.named import OnnxJudge as OnnxJudge
    from privacy_exp.evaluation.utility.attributes import Attributes as Attributes
    from privacy_exp.evaluation.utility.detection import Detection as Detection
    from privacy_exp.evaluation.utility.inception import FID as FID
    from privacy_exp.evaluation.utility.inception import KID as KID
    from privacy_exp.evaluation.utility.lpips import LPIPS as LPIPS
    from privacy_exp.evaluation.utility.onnx import OnnxUtility as OnnxUtility
    from privacy_exp.evaluation.utility.pixels import Pixels as Pixels
    from privacy_exp.evaluation.utility.same_face import SameFace as SameFace
    from privacy_exp.evaluation.utility.sanity import Sanity as Sanity
    from privacy_exp.inpainting.adversarial import Adversarial as Adversarial
    from privacy_exp.inpainting.autoencoder import VaeRoundTrip as VaeRoundTrip
    from privacy_exp.inpainting.base import Inpainter as Inpainter
    from privacy_exp.inpainting.command import Command as Command
    from privacy_exp.inpainting.controls import Blackout as Blackout
    from privacy_exp.inpainting.controls import Blur as Blur
    from privacy_exp.inpainting.controls import Identity as Identity
    from privacy_exp.inpainting.controls import MeanFill as MeanFill
    from privacy_exp.inpainting.controls import OpencvTelea as OpencvTelea
    from privacy_exp.inpainting.controls import Pixelate as Pixelate
    from privacy_exp.inpainting.diffusion import DiffusionInpainter as DiffusionInpainter
    from privacy_exp.inpainting.function import Function as Function
    from privacy_exp.inpainting.k_same import KSame as KSame
    from privacy_exp.inpainting.settings import Sampling as Sampling
    from privacy_exp.masking.base import Masker as Masker
    from privacy_exp.masking.base import OwnArea as OwnArea
    from privacy_exp.masking.center import Center as Center
    from privacy_exp.masking.command import MaskCommand as MaskCommand
    from privacy_exp.masking.eigen_cam import EigenCAM as EigenCAM
    from privacy_exp.masking.ensemble import Ensemble as Ensemble
    from privacy_exp.masking.everything import Everything as Everything
    from privacy_exp.masking.face_oval import FaceOval as FaceOval
    from privacy_exp.masking.grad_cam import GradCAM as GradCAM
    from privacy_exp.masking.grad_cam_plus_plus import GradCAMPlusPlus as GradCAMPlusPlus
    from privacy_exp.masking.gradient_x_input import GradientXInput as GradientXInput
    from privacy_exp.masking.hi_res_cam import HiResCAM as HiResCAM
    from privacy_exp.masking.integrated_gradients import IntegratedGradients as IntegratedGradients
    from privacy_exp.masking.iterative import Iterative as Iterative
    from privacy_exp.masking.landmarks import LandmarkRegions as LandmarkRegions
    from privacy_exp.masking.layer_cam import LayerCAM as LayerCAM
    from privacy_exp.masking.minimal import Minimal as Minimal
    from privacy_exp.masking.nothing import Nothing as Nothing
    from privacy_exp.masking.occlusion import Occlusion as Occlusion
    from privacy_exp.masking.original_grad_cam import OriginalGradCAM as OriginalGradCAM
    from privacy_exp.masking.original_random import OriginalRandom as OriginalRandom
    from privacy_exp.masking.original_saliency import OriginalSaliency as OriginalSaliency
    from privacy_exp.masking.random_patches import RandomPatches as RandomPatches
    from privacy_exp.masking.random_pixels import RandomPixels as RandomPixels
    from privacy_exp.masking.rise import RISE as RISE
    from privacy_exp.masking.saliency import Saliency as Saliency
    from privacy_exp.masking.score_cam import ScoreCAM as ScoreCAM
    from privacy_exp.masking.smooth_grad import SmoothGrad as SmoothGrad
    from privacy_exp.photos.single import anonymize as anonymize
    from privacy_exp.recognition.facenet import FaceNet as FaceNet
    from privacy_exp.recognition.onnx import BGROnnxRecognizer as BGROnnxRecognizer
    from privacy_exp.recognition.onnx import OnnxRecognizer as OnnxRecognizer
    from privacy_exp.recognition.recipe import FitRecipe as FitRecipe
    from privacy_exp.recognition.resnet import SmallResNet as SmallResNet
    from privacy_exp.report.compared import compare as compare
    from privacy_exp.runs.run import Run as Run
    from privacy_exp.runs.run import load_run as load_run
    from privacy_exp.study.study import Study as Study
    from privacy_exp.types import Faces as Faces
    from privacy_exp.types import Metric as Metric

__version__ = "0.2.0.dev0"


class UserError(ValueError):
    """Input that cannot be used: the message names the argument, what is allowed, what came, and the way out.

    Commands show it as one paragraph with exit code 1; any other exception is a bug and keeps its traceback. It lives
    here so that arguments can be checked before torch is imported.
    """


_PUBLIC = {
    "data.celeba": ("CelebA",),
    "data.drawn.faces": ("DrawnFaces",),
    "data.folder": ("Folder",),
    "evaluation.attackers.gallery": ("Gallery",),
    "evaluation.attackers.linkage": ("Linkage",),
    "evaluation.attackers.parrot": ("Parrot",),
    "evaluation.attackers.parrot_open": ("ParrotOpen",),
    "evaluation.attackers.purification": ("Purification",),
    "evaluation.attackers.reconstruction": ("Reconstruction",),
    "evaluation.attackers.several_photos": ("SeveralPhotos",),
    "evaluation.attackers.whole_frame": ("WholeFrame",),
    "evaluation.attackers.whole_frame_net": ("WholeFrameNet",),
    "evaluation.judges.judge": ("Judge",),
    "evaluation.judges.named": (
        "OnnxJudge",
        "DlibJudge",
        "FaceNetJudge",
        "IndependentJudge",
    ),
    "evaluation.utility.attributes": ("Attributes",),
    "evaluation.utility.detection": ("Detection",),
    "evaluation.utility.inception": (
        "KID",
        "FID",
    ),
    "evaluation.utility.lpips": ("LPIPS",),
    "evaluation.utility.onnx": ("OnnxUtility",),
    "evaluation.utility.pixels": ("Pixels",),
    "evaluation.utility.same_face": ("SameFace",),
    "evaluation.utility.sanity": ("Sanity",),
    "inpainting.adversarial": ("Adversarial",),
    "inpainting.autoencoder": ("VaeRoundTrip",),
    "inpainting.base": ("Inpainter",),
    "inpainting.command": ("Command",),
    "inpainting.controls": (
        "Identity",
        "Blackout",
        "MeanFill",
        "Blur",
        "Pixelate",
        "OpencvTelea",
    ),
    "inpainting.diffusion": ("DiffusionInpainter",),
    "inpainting.function": ("Function",),
    "inpainting.k_same": ("KSame",),
    "inpainting.settings": ("Sampling",),
    "masking.base": (
        "Masker",
        "OwnArea",
    ),
    "masking.center": ("Center",),
    "masking.command": ("MaskCommand",),
    "masking.eigen_cam": ("EigenCAM",),
    "masking.ensemble": ("Ensemble",),
    "masking.everything": ("Everything",),
    "masking.face_oval": ("FaceOval",),
    "masking.grad_cam": ("GradCAM",),
    "masking.grad_cam_plus_plus": ("GradCAMPlusPlus",),
    "masking.gradient_x_input": ("GradientXInput",),
    "masking.hi_res_cam": ("HiResCAM",),
    "masking.integrated_gradients": ("IntegratedGradients",),
    "masking.iterative": ("Iterative",),
    "masking.landmarks": ("LandmarkRegions",),
    "masking.layer_cam": ("LayerCAM",),
    "masking.minimal": ("Minimal",),
    "masking.nothing": ("Nothing",),
    "masking.occlusion": ("Occlusion",),
    "masking.original_grad_cam": ("OriginalGradCAM",),
    "masking.original_random": ("OriginalRandom",),
    "masking.original_saliency": ("OriginalSaliency",),
    "masking.random_patches": ("RandomPatches",),
    "masking.random_pixels": ("RandomPixels",),
    "masking.rise": ("RISE",),
    "masking.saliency": ("Saliency",),
    "masking.score_cam": ("ScoreCAM",),
    "masking.smooth_grad": ("SmoothGrad",),
    "photos.single": ("anonymize",),
    "recognition.facenet": ("FaceNet",),
    "recognition.onnx": ("BGROnnxRecognizer", "OnnxRecognizer"),
    "recognition.recipe": ("FitRecipe",),
    "recognition.resnet": ("SmallResNet",),
    "report.compared": ("compare",),
    "runs.run": (
        "Run",
        "load_run",
    ),
    "study.study": ("Study",),
    "types": (
        "Faces",
        "Metric",
    ),
}
_HOMES = {name: module for module, names in _PUBLIC.items() for name in names}

__all__ = ["UserError", "__version__", *sorted(_HOMES)]


def __getattr__(name: str) -> Any:
    """A public name, imported when it is first asked for: `import privacy_exp` brings no torch."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)


class _Package(ModuleType):
    def __setattr__(self, name: str, value: Any) -> None:
        # importing the command privacy_exp.compare binds the module here, which would hide the function of that name
        if not (isinstance(value, ModuleType) and name in _HOMES):
            super().__setattr__(name, value)


sys.modules[__name__].__class__ = _Package
