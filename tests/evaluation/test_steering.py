"""Whose weights steered painter or masks."""

import pytest

from privacy_exp.cache.keys import file_digest
from privacy_exp.evaluation.steering import repelling_weights


@pytest.fixture
def graph(tmp_path):
    path = tmp_path / "face.onnx"
    path.write_bytes(b"weights")
    return path


@pytest.fixture
def net(tmp_path):
    path = tmp_path / "target.onnx"
    path.write_bytes(b"other weights")
    return path


def config(net, **painter):
    return {"recognition": {"net": {"model": str(net)}}, "inpainting": painter}


def test_files_and_target_steer_as_they_are_named(graph, net):
    file, target = file_digest(graph), file_digest(net)
    for models, steering in (
        ([str(graph)], {file}),
        ([], {target}),
        (None, {target}),
        (["target"], {target}),
        ([str(graph), "target"], {file, target}),
    ):
        flat = config(net, repel=2.0, repel_model=models)
        assert repelling_weights(flat) == steering, "as the command line says it"
        assert repelling_weights(config(net, repel={"strength": 2.0, "model": models})) == steering, "as Python does"


def test_nobody_steers_where_nothing_is_pushed(graph, net):
    for repel in (None, 0, 0.0, {"strength": 0, "model": [str(graph)]}):
        assert not repelling_weights(config(net, repel=repel, repel_model=[str(graph)]))
    assert not repelling_weights({})
    assert not repelling_weights({"recognition": {"net": None}, "inpainting": {"repel": 2.0}})
