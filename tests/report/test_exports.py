"""What a report writes for other people's tools, asked of the tools themselves."""

import importlib.util
import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from huggingface_hub import ModelCard

from privacy_exp.report.build import Options, build
from privacy_exp.report.eee import public_command
from privacy_exp.types import UserError
from tests.report.sample import edit_record

SCHEMA = Path(__file__).parent / "every_eval_ever" / "eval.schema.json"
CARD = Path(__file__).parents[2] / "privacy_exp" / "assets" / "tiny_inpaint" / "README.md"


@pytest.fixture(scope="module")
def exported(two_cells, tmp_path_factory) -> Path:
    """The smallest sweep with both exports; its report lies in `report`."""
    study = Path(shutil.copytree(two_cells, tmp_path_factory.mktemp("exports") / "study"))
    edit_record(study / "1", warnings=["read from /home/somebody/private/labels.csv"])
    overrides = study / "1" / ".hydra" / "overrides.yaml"
    overrides.write_text(overrides.read_text() + "- data.root=/home/somebody/private/celeba\n")
    build([study], None, Options(export=["eee", "croissant"]))
    return study


@pytest.fixture(scope="module")
def records(exported) -> list[Path]:
    return sorted((exported / "report" / "exports" / "eee").glob("data/*/*/*/*.json"))


def test_the_schema_takes_the_records(records):
    jsonschema = pytest.importorskip("jsonschema", reason="needs jsonschema: pip install 'privacy-exp[exports]'")
    check = jsonschema.Draft7Validator(json.loads(SCHEMA.read_text()))
    assert len(records) == 2
    assert [error.message for path in records for error in check.iter_errors(json.loads(path.read_text()))] == []


def test_their_own_validator_takes_the_records(records, exported):
    validator = shutil.which("every_eval_ever")
    if validator is None:
        pytest.skip("needs every_eval_ever on PATH: it wants Python 3.12 and an environment of its own")
    places = [str(path.relative_to(exported / "report" / "exports" / "eee")) for path in records]
    line = [validator, "validate", *places]
    done = subprocess.run(line, cwd=exported / "report" / "exports" / "eee", capture_output=True, text=True)
    assert done.returncode == 0, done.stdout
    assert "2 passed, 0 warning-only, 0 failed" in done.stdout


def test_figures_keep_their_interval_and_n(records, exported):
    told = json.loads(records[0].read_text())
    record = json.loads((exported / "0" / "record.json").read_text())
    (fooled,) = [r for r in told["evaluation_results"] if r["metric_config"]["metric_id"] == "privacy_exp.fool_rate"]
    want = record["metrics"]["fool_rate"]
    assert fooled["score_details"]["score"] == want["value"]
    uncertainty = fooled["score_details"]["uncertainty"]
    assert uncertainty["num_samples"] == want["n"]
    assert [uncertainty["confidence_interval"][end] for end in ("lower", "upper")] == [want["low"], want["high"]]
    assert fooled["metric_config"]["lower_is_better"] is False
    assert told["model_info"]["name"] == "Random patches, 25% of the frame, the tiny diffusion model"
    assert "utility/lpips" in told["source_metadata"]["additional_details"]["without_value"], "no figure, so no score"


def test_the_same_records_give_the_same_files(exported, records):
    folder = exported / "report" / "exports" / "eee"
    before = {path: path.read_bytes() for path in records}
    build([exported], None, Options(export=["eee"]))
    assert {path: path.read_bytes() for path in folder.rglob("*.json")} == before


def test_no_folder_of_this_machine_is_published(exported, records):
    assert public_command(exported / "1").endswith("data.root=celeba")
    for path in (*records, *exported.glob("*/croissant.json")):
        assert "somebody" not in path.read_text(), path


ASK = """
import json, sys
import mlcroissant
told = []
for path in sys.argv[1:]:
    described = mlcroissant.Dataset(jsonld=path)
    rows, pictures = list(described.records("images")), list(described.records("pictures"))
    told.append(
        {
            "issues": described.metadata.ctx.issues.report(),
            "json": json.loads(json.dumps(described.metadata.to_json(), default=str)),
            "rows": [[row["images/image_id"].decode(), row["images/share_hidden"]] for row in rows],
            "pictures": [[p["pictures/image_id"].decode(), p["pictures/content"].size] for p in pictures],
        }
    )
print(json.dumps(told))
"""


@pytest.fixture(scope="module")
def croissants(exported):
    """What the reference library reads; in a process of its own, because its logging outlives a test's stderr."""
    if importlib.util.find_spec("mlcroissant") is None:
        pytest.skip("needs mlcroissant: pip install 'privacy-exp[exports]'")
    places = [str(exported / n / "croissant.json") for n in ("0", "1")]
    done = subprocess.run([sys.executable, "-c", ASK, *places], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_croissants_are_valid_and_say_what_is_personal(croissants):
    for described in croissants:
        assert described["issues"] == "", "no error and no warning"
        told = described["json"]
        assert "http://mlcommons.org/croissant/1.1" in told["conformsTo"]
        assert told["rai:personalSensitiveInformation"] == "Drawn faces: no real person can be seen."
        assert {"rai:dataBiases", "rai:dataLimitations", "rai:dataUseCases"} <= set(told)


def test_croissants_lead_to_rows_and_pictures(croissants):
    rows, pictures = croissants[0]["rows"], croissants[0]["pictures"]
    assert len(rows) == 12
    assert rows[0][1] == 0.25
    assert {name for name, _ in pictures} == {name for name, _ in rows}
    assert pictures[0][1] == [32, 40]


@pytest.mark.parametrize("formats", ["eee", ["hal"]])
def test_an_unknown_format_is_refused(formats):
    with pytest.raises(UserError, match=r"`report.export` must be a list of eee, croissant"):
        Options(export=formats)


def test_the_card_of_the_shipped_checkpoint_holds_its_figures_for_programs():
    card = ModelCard.load(CARD)
    assert card.data.license == "apache-2.0"
    table = {cells[1].strip(): cells[2] for line in card.text.splitlines() if len(cells := line.split("|")) > 3}
    assert len(card.data.eval_results) == 5
    for result in card.data.eval_results:
        name = result.metric_name.removesuffix(" in dB")
        (row,) = [row for known, row in table.items() if known.startswith(name)]
        value = float(row.split()[0])
        assert result.metric_value == pytest.approx(value / 100 if "%" in row else value)
