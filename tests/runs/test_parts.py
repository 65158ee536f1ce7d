"""Licences of the parts: known ones from one table, unknown ones as unknown."""

import pytest

from privacy_exp.runs.parts import LICENCES, WITHOUT_WEIGHTS, Licensed, from_card, parts_of
from privacy_exp.runs.record import IN_WORDS
from privacy_exp.sweep.entry import CONF
from tests.runs.test_answer import record


def test_each_name_in_the_table_is_a_part_that_exists():
    names = [*LICENCES, *(f"{group}/{stem}" for group, stems in WITHOUT_WEIGHTS.items() for stem in stems)]
    assert [name for name in names if not (CONF / f"{name}.yaml").is_file()] == []


def test_what_nobody_wrote_down_is_unknown():
    choices = {"data": "folder", "recognition": "facenet_vggface2", "inpainting": "sd15", "judge": ["onnx", "dlib"]}
    config = {"inpainting": {"revision": "8a42"}}
    found = parts_of({"choices": choices, "config": config, "details": {"data_digest": "d1"}, "files": {}})
    assert [(p.part, p.commercial) for p in found] == [
        ("data/folder", "unknown"),
        ("recognition/facenet_vggface2", "no: research only"),
        ("inpainting/sd15", "yes, within its use restrictions"),
        ("judge/onnx", "unknown"),
        ("judge/dlib", "yes"),
    ]
    assert [p.digest for p in found] == ["d1", "unknown", "8a42", "unknown", "unknown"]
    assert found[3] == Licensed("judge/onnx")


@pytest.mark.parametrize(
    ("card", "found"),
    [
        ("---\nlicense: mit\n---\n# a model\n", ("mit", "yes")),
        ("---\nlicense: other\n---\n", ("other", "unknown")),
        ("---\nlibrary_name: x\n---\n", None),
        ("no head", None),
        ("---\n: [\n---\n", None),
    ],
)
def test_a_model_card_is_read(tmp_path, card, found):
    (tmp_path / "README.md").write_text(card)
    said = from_card(str(tmp_path))
    assert (said and (said[0], said[2])) == found
    assert from_card(str(tmp_path / "absent")) is None


def test_the_record_lists_its_parts(tmp_path):
    one = record()
    one.write(tmp_path)
    assert one.details["parts"][0]["part"] == "data/celeba"
    assert (
        "| data/celeba | non-commercial research | CelebA, MMLAB | no: research only |"
        in (tmp_path / IN_WORDS).read_text()
    )
