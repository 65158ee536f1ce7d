"""Bad command lines: one paragraph that names the thing and the way out, exit code 1, and nothing half-written."""

import json
import shlex
import shutil
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest
from hydra._internal.hydra import Hydra
from PIL import Image

from privacy_exp.__main__ import COMMANDS

TRACES = ("out/.hydra", "out/error.txt", "out/manifest.csv", "out/cell.json", "out/.running.lock")
"""What a run that was refused may leave: what was asked, and why it was refused; no picture and no record."""

CASES = """
train mask_ratio=50 | `mask_ratio` | [0, 1] | 0.5?
train mask_ratio=-0.1 | `mask_ratio` | -0.1
train mask_ratio=half | `mask_ratio` | half
train mask_ratio=null | `mask_ratio` | [0, 1]
train mask_ratio=true | `mask_ratio` | True
train mask_ratio=.nan | `mask_ratio` | nan
train image_format=gif | `image_format` | jpg | gif
train engine=spark | `engine` | local, ray | spark
train layout=tar | `layout` | folders, packed | tar
train seed=-1 | `seed` | at least 0
train seed=1.5 | `seed` | whole number
train batch_size=0 | `batch_size` | at least 1
train batch_size=many | `batch_size` | many
train rerun=maybe | `rerun` | true or false
train slots=0 | `slots` | at least 1 | auto
train objective=fool_rates | `objective` | fool_rate | judge=[NAME]
train objective=[judge/nobody/rank_1] | `objective` | judge=[NAME]
train evaluation.gate=2 | `evaluation.gate` | [0, 1]
train evaluation.batch_size=0 | `evaluation.batch_size` | at least 1
train cache.root=text.txt | `cache.root` | text.txt | DIR
train store.root=x | `store.root` | `cache.root`
train masking=gradcam | masking=gradcam | did you mean grad_cam? | saliency
train maskin=center | `maskin` | did you mean masking?
train masking=[center,saliency] | `masking` | one name | -m masking=A,B
train masking.patch_size=0 | `patch_size` | at least 1
train masking.patch_size=8.5 | `masking.patch_size` | whole number
train masking.region=nose | `region` | frame, face
train masking.regions=face | `masking.regions` | did you mean masking.region?
train +masking.colour=red | `masking.colour` | patch_size, granularity, region
train masking=grad_cam masking.target=nose | `target` | logit
train inpainting=stable | inpainting=stable | sd15
train inpainting=mean_fill inpainting.guidance_scale=3 | `inpainting.guidance_scale`
train inpainting.guidance_scal=3 | did you mean inpainting.guidance_scale?
train inpainting.guidance_interval=[0.9,0.1] | `guidance_interval` | start < stop
train inpainting.guidance_interval=0.5 | `inpainting.guidance_interval` | a list
train inpainting.strength=2 | `strength` | (0, 1]
train inpainting.seamless=maybe | `inpainting.seamless` | true or false
train inpainting.scheduler=DDIM | `scheduler` | DDIMScheduler
train inpainting.prompt='{colour}' | `prompt` | hair | {colour}
train inpainting.lora=nowhere.safetensors | `lora` | nowhere.safetensors
train inpainting=diffusers | `inpainting.checkpoint` must be given | inpainting.checkpoint=VALUE
train inpainting=diffusers inpainting.checkpoint=nowhere | `checkpoint` | nowhere | hub id
train inpainting.checkpoint=empty | `checkpoint` | model_index.json | from_single_file
train inpainting=k_same inpainting.k=1 | `k` | at least 2
train recognition=onnx | `recognition.net.model` | FACE_ONNX
train recognition=onnx recognition.net.model=nowhere.onnx | `recognition.net.model` | nowhere.onnx
train recognition.checkpoint=model.onnx | `recognition.checkpoint` | recognition=onnx recognition.net.model=model.onnx
train recognition.checkpoint=nowhere | `recognition.checkpoint` | recognizer.ckpt | nowhere
train recognition.init_from=empty | `recognition.init_from` | recognizer.ckpt | empty
train recognition.module.lr=fast | `recognition.module.lr` | a number
train recognition.module.max_epoch=3 | did you mean recognition.module.max_epochs?
train data=faces | data=faces | celeba, folder, synthetic
train data=celeba | `data.root` | none was given | data.root=DIR
train data=celeba data.root=nowhere | `data.root` | nowhere | download_celeba.py
train data=celeba data.root=empty | img_align_celeba | data.root=DIR
train data=folder data.root=people data.image_size=218 | `image_size` | [height, width] | data.image_size=[218,178]
train data=folder data.root=people | at least 2 identities | data.min_images_per_identity
train data=folder data.root=a=b | 'data.root=a=b' | quoted | 'data.root="a=b"'
train data.identities=many | `data.identities` | a whole number | many
train data.identitys=3 | did you mean data.identities?
train data.split=[0.5,0.5,0.5] | `split` | sum to 1 | data.split=[0.6,0.2,0.2]
train data.split=0.5 | `data.split` | a list
train data.split=[a,b,c] | `data.split` | a number | entry 0
train data.manifest=nowhere.csv | `manifest` | nowhere.csv
train judge=[nobody] | judge=nobody | onnx
train judge=[onnx] | `judge.onnx.embedder.model` must be given
train judge=[independent] judge.independent.fars=[2] | `fars` | (0, 1)
train attacker=[parot] | did you mean parrot?
train attacker=[linkage] attacker.linkage.effort=huge | `effort` | quick, default, strong
train utility=[kid] utility.kid.subsets=0 | `subsets` | at least 1
train trainer=tpu | trainer=tpu | cpu, ddp, gpu
train trainer.precision=7 | `trainer.precision` | bf16-mixed | 7
train tracking.mode=live | `tracking.mode` | offline
train experiment=quick | `experiment` | quickstart | quick
train mask_ratio=0.1,0.2 | several values | add -m | mask_ratio=[0.1,0.2]
train mask_ratio | 'mask_ratio' | mask_ratio=VALUE
train =3 | '=3' | KEY=3
train hydra.run.dir=text.txt/out | text.txt/out | hydra.run.dir=DIR
anonymize | `out` must be given | out=VALUE
anonymize out=out | `data.root` | photos=DIR
anonymize photos=nowhere out=out inpainting=blur | `photos` | nowhere
anonymize photos=empty out=out inpainting=blur | `photos` | empty
anonymize photos=flat out=flat inpainting=blur | `out` | `photos` | not inside it
anonymize photos=flat out=out | `inpainting` | drawn faces | inpainting=blur
anonymize photos=flat out=out inpainting=blur mask_ratio=0 | `mask_ratio` | above 0
anonymize photos=flat out=out inpainting=blur masking=saliency | masking=Saliency | recognition.checkpoint=RUN_OR_FILE
anonymize photos=flat out=out inpainting=blur looked_at=face-1 | `looked_at` | looked_at=[face-1]
anonymize photos=flat out=out inpainting=blur until=forever | `until` | once or unrecognised
anonymize photos=flat out=out inpainting=blur until=unrecognised | judge=[dlib]
anonymize photos=flat out=out inpainting=blur tries=0 | `tries` | at least 1
anonymize photos=flat out=out inpainting=blur keep=eyes | `keep` | keep=[eyes]
anonymize photos=flat out=out inpainting=blur keep=[ears] | `keep` | eyes, nose, mouth
anonymize photos=flat out=out inpainting=blur keep_metadata=[Colour] | `keep_metadata` | EXIF
anonymize photos=flat out=out inpainting=blur keep_people=nowhere | `keep_people` | judge=[dlib]
anonymize photos=flat out=out inpainting=blur detector=yolo | detector=yolo | mtcnn, onnx
anonymize photos=flat out=out inpainting=blur detector=onnx | `detector.model` must be given
anonymize photos=flat out=out inpainting=blur detector=onnx detector.model=model.onnx | `detector.model` | model.onnx
anonymize photos=flat out=out inpainting=blur detector.sure=2 | `detector.doubt` | (0, 1]
anonymize photos=flat out=out inpainting=blur threshold.nobody=1 | `threshold.nobody` | dlib
anonymize data.root=flat out=out inpainting=blur | 1.jpg | data.labelled=false
prepare | `out` must be given
prepare people=nowhere out=out | `people` | nowhere
prepare people=people out=people | `out` | `people`
prepare people=flat out=out | `people` | 1.jpg
evaluate | run=DIR | originals=DIR
evaluate run=nowhere | `run` | nowhere
evaluate run=empty | recognizer.ckpt | recognition.checkpoint=RUN_OR_FILE
evaluate run=broken | record.json is damaged
evaluate run=old | schema 1 | again
evaluate run=empty originals=flat | run=DIR | got run, originals
evaluate run=empty device=tpu | `device` | cpu or cuda
evaluate run=empty trust=mypackage | `trust` | trust=[mypackage]
evaluate run=empty judge=[onnx] | `judge.onnx.embedder.model` must be given
evaluate run=empty recognition.checkpoint=model.onnx | `recognition.checkpoint` | recognition.net.model=model.onnx
evaluate originals=nowhere anonymized=flat out=out | `originals` | nowhere
evaluate originals=flat anonymized=nowhere out=out | `anonymized` | nowhere
evaluate originals=flat anonymized=other out=out | do not pair | anonymized_name=
evaluate originals=flat anonymized=flat out=flat | `out` | new or empty
evaluate originals=flat anonymized=flat out=out image_size=5 | `image_size` | [height, width]
evaluate originals=flat anonymized=flat out=out identities=nowhere.csv | `identities` | nowhere.csv
evaluate originals=flat anonymized=flat out=out anonymized_name=x | `anonymized_name` | {stem}
compare | `a` must be given
compare a=nowhere b=empty | nowhere | record.json
compare a=old b=old | schema 1
compare a=[] b=[] | `a` | a=[DIR,DIR]
compare a=empty b=empty flips=0 | `flips` | at least 1000
compare a=empty b=empty flips=many | `flips` | whole number
compare a=empty c=empty | `c` | flips
deletion methods=[gradcam] | `methods` | grad_cam | gradcam
deletion methods=grad_cam | `methods` | methods=[grad_cam,saliency]
deletion methods=[everything] | everything | area
deletion region=nose | `region` | frame
deletion granularity=0 | `granularity` | at least 1
deletion shares=[0.5,0.2] | `shares` | rising
deletion shares=0.5 | `shares` | a list
deletion mask_seeds=[] | `mask_seeds` | at least one
deletion mask_seeds=[a] | `mask_seeds` | whole numbers
certify | `data.root` | data.root=DIR
certify data=synthetic alpha=2 | `alpha` | (0, 1)
certify data=synthetic ratios=0.5 | `ratios` | a list
certify data=synthetic aside=many | `aside` | [0, 1)
certify data=synthetic by=luck | `by` | verification, rank_1
certify data=synthetic methods=center | `methods` | methods=[grad_cam,saliency]
certify data=synthetic | `judge` | judge=[onnx]
certify data=synthetic delta=0 | `delta` | (0, 1)
certify data=synthetic far=1 | `far` | (0, 1)
certify data=synthetic ratios=[0.5,0.5] | `ratios` | different shares
certify data=synthetic by=rank_1 aside=0 | `by=rank_1` | `aside` above 0
certify data=synthetic methods=[nowhere] | `masking` | face_oval
certify data=synthetic masking=center | masking | methods
certify data=synthetic mask_ratio=0.5 | mask_ratio | ratios
certify data=synthetic confidence=0.9 | confidence | delta
report | `sweep` must be given
report sweep=nowhere | `sweep` | nowhere
report sweep=empty | `sweep` | holds no run
report sweep=[] | `sweep` | sweep=[DIR,DIR]
report sweep=old | schema 1
report sweep=empty report.max_pictures=-1 | `report.max_pictures` | at least 1
report sweep=empty report.titel=x | did you mean report.title?
report sweep=empty tracking=tensorboard | `tracking` | wandb
app nothing=1 | `nothing` | top-level keys
board nothing=1 | `nothing` | top-level keys
status | `sweep` must be given
status sweep=nowhere | `sweep` | nowhere
status sweep=empty | empty | sweep
status sweeps=empty | did you mean sweep?
draw out=flat | `out` | new or empty
draw out=out data.identities=0 | `identities` | at least 1
draw out=out data.image_size=4 | `image_size` | at least 32
draw out=out data=folder data.root=flat | `data` | synthetic
train_inpainter stages=[unets] | `stages` | autoencoder, unet, export
train_inpainter stages=[] | `stages` | autoencoder, unet, export
train_inpainter parts=[dev] | `parts` | train, val, test
train_inpainter crop=2 | `crop` | [0, 1)
train_inpainter held_out_people=1.5 | `held_out_people` | [0, 1)
train_inpainter autoencoder.steps=0 | `autoencoder.steps` | at least 1
train_inpainter unet.lr=fast | `unet.lr` | fast
train_inpainter unet.train=nothing | `unet.train` | all or text
train_inpainter lora_rank=4 | `lora_rank` | `init_from`
train_inpainter init_from=nowhere | `init_from` | hub id | nowhere
train_inpainter export_dtype=int8 | `export_dtype` | float16
train_inpainter max_photos=0 | `max_photos` | at least 1
train_inpainter autoencoder.step=5 | did you mean autoencoder.steps?
cache cache.root=nowhere | `cache.root` | nowhere
cache cache.root=text.txt | `cache.root` | a file
cache cache.root=empty prune.days=-1 | `prune.days` | at least 0
cache cache.root=empty prune.days=soon | `prune.days` | a number
cache cache.root=empty prune.kind=cell | prune.days=30
cache cache.root=empty prune.day=3 | did you mean prune.days?
cache unpack=empty | `unpack` | layout=packed | empty
cache cache.root=empty dry_run=perhaps | `dry_run` | true or false
""".strip().splitlines()


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with little in it, and most of that broken."""
    place = tmp_path_factory.mktemp("commands")
    for name in ("people/a/1.jpg", "people/b/1.jpg", "flat/1.jpg", "other/2.jpg"):
        (place / name).parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (40, 48), (90, 60, len(name))).save(place / name)
    for name, content in {"broken": "{", "old": json.dumps({"schema": 1})}.items():
        (place / name).mkdir()
        (place / name / "record.json").write_text(content)
    (place / "empty").mkdir()
    (place / "text.txt").write_text("hello")
    (place / "model.onnx").write_bytes(b"no graph")
    return place


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.partition(" | ")[0])
def test_bad_commands(place, case, monkeypatch, capsys):
    line, *words = case.split(" | ")
    command, *arguments = shlex.split(line.replace("'", "\\'").replace('"', '\\"'))
    if command in ("train", "deletion", "certify", "train_inpainter"):
        arguments = ["hydra.run.dir=out", *arguments]
    if command == "train":
        arguments = ["tracking=csv", *arguments] if "tracking" not in line else arguments
    monkeypatch.delenv("FACE_ONNX", raising=False)
    monkeypatch.setattr(Hydra, "get_mode", lambda *args, **keys: None)  # half the time: Hydra composes twice for -m
    monkeypatch.chdir(place)
    monkeypatch.setattr(sys, "argv", [f"privacy-exp {command}", *arguments])
    before = set(place.rglob("*"))
    try:
        with pytest.raises(SystemExit) as end:
            import_module(COMMANDS[command][0]).main()
        printed = capsys.readouterr().err
        left = {str(path.relative_to(place)) for path in set(place.rglob("*")) - before}
    finally:
        shutil.rmtree(place / "out", ignore_errors=True)
    assert end.value.code == 1
    assert printed.startswith("error: ")
    assert printed.count("\n") == 1, printed
    assert 30 < len(printed) < 900
    assert "HYDRA_FULL_ERROR" not in printed
    for word in words:
        assert word in printed
    allowed = (*TRACES, f"out/{command}.log")
    assert not [name for name in left if name != "out" and not name.startswith(allowed)]


def test_the_cases_cover_every_command():
    assert len(CASES) >= 100
    assert {case.split()[0] for case in CASES} == set(COMMANDS)


@pytest.mark.parametrize("command", ["trian", "status sweep=nowhere"])
def test_as_a_user_starts_it(command, tmp_path):
    start = [sys.executable, "-m", "privacy_exp", *command.split()]
    done = subprocess.run(start, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr.startswith("error: ")
    assert done.stderr.count("\n") == 1
    assert not list(tmp_path.iterdir())
