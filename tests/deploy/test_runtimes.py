"""Tiny networks in every format, beside the checkpoint that they were made from."""

import re
import shutil

import numpy as np
import pytest
import torch

from deploy import DeployError, export, exporting, load
from deploy.description import Description
from deploy.graph import OUTPUTS
from deploy.runtimes import FORMATS
from deploy.seal import seal
from tasks.errors import TaskError
from tasks.wings import load_task

NEEDED = {"onnx": "onnxruntime", "openvino": "openvino", "executorch": "executorch", "litert": "litert_torch"}
KINDS = [(task, kind) for task, kinds in OUTPUTS.items() for kind in kinds]


@pytest.fixture(scope="module")
def checkpoints(checkpoint, detector, classifier, joint):
    """Trained for a few steps."""
    return {"segmentation": checkpoint, "detection": detector, "classification": classifier, "joint": joint}


def images(size, rng):
    return [rng.integers(0, 256, (*shape, 3), dtype=np.uint8) for shape in (size, (50, 90))]


@pytest.mark.parametrize("task, kind", KINDS)
@pytest.mark.parametrize("format", FORMATS)
def test_predictions_are_those_of_the_checkpoint(format, task, kind, checkpoints, tmp_path):
    pytest.importorskip(NEEDED[format])
    path = export(checkpoints[task], format, tmp_path / f"x{FORMATS[format].suffix}", kind)
    file, plain = load(path, threads=1), load_task(checkpoints[task], "cpu")
    assert file.spec == plain.spec and file.kind == task
    given = images(plain.spec.input_size, np.random.default_rng(0))
    (ours,), (theirs,) = file(given[0]), plain(given[0])
    assert type(ours) is type(theirs) and ours.names == theirs.names and ours.size == theirs.size
    found, expected = file.predict(given), plain.predict(given)
    if task == "classification":
        np.testing.assert_allclose(found, expected, atol=1e-4)
    elif task == "segmentation":
        same_masks(found, expected)
    elif task == "detection":
        same_boxes(found, expected)
    else:
        same_boxes([one.boxes for one in found], [one.boxes for one in expected])
        same_masks([one.mask for one in found], [one.mask for one in expected])


def same_masks(found, expected):
    # of the second image, which a file stretches, the mask may be another
    assert found[1].shape == expected[1].shape and found[0].dtype == np.uint8
    assert (found[0] == expected[0]).mean() > 0.999


def same_boxes(found, expected):
    for ours, theirs in zip(found, expected, strict=True):
        assert len(ours.scores) == len(theirs.scores)
        np.testing.assert_allclose(ours.scores, theirs.scores, atol=1e-4)
        sure = theirs.scores > theirs.scores[9] + 1e-4  # ties may come in any order
        np.testing.assert_allclose(ours.boxes[: sure.sum()], theirs.boxes[sure], atol=0.1)


@pytest.mark.parametrize("size", [(96, 160), (75, 133)])
@pytest.mark.parametrize("format", FORMATS)
def test_detectors_of_other_sizes(format, size, checkpoints, tmp_path):
    pytest.importorskip(NEEDED[format])
    content = torch.load(checkpoints["detection"], weights_only=True)
    content["mobiledense"]["input_size"] = size
    torch.save(content, tmp_path / "x.ckpt")
    path = export(tmp_path / "x.ckpt", format, tmp_path / f"x{FORMATS[format].suffix}")
    file, plain = load(path, threads=1), load_task(tmp_path / "x.ckpt", "cpu")
    given = images(size, np.random.default_rng(0))
    for ours, theirs in zip(file.predict(given), plain.predict(given), strict=True):
        np.testing.assert_allclose(ours.scores[:50], theirs.scores[:50], atol=2e-3)  # noise excites the network
        np.testing.assert_allclose(ours.boxes[0], theirs.boxes[0], atol=0.1)


@pytest.mark.parametrize("format", FORMATS)
def test_a_changed_file_is_refused(format, checkpoints, tmp_path):
    pytest.importorskip(NEEDED[format])
    path = export(checkpoints["classification"], format, tmp_path / f"x{FORMATS[format].suffix}")
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    with pytest.raises(DeployError, match=re.escape(str(tmp_path / "x"))) as raised:
        load(path)
    assert "\n" not in str(raised.value)
    path.write_bytes(content[: len(content) // 2])
    with pytest.raises(DeployError, match=re.escape(str(tmp_path / "x"))):
        load(path)


@pytest.mark.parametrize("format", FORMATS)
def test_a_runtime_that_is_not_installed_is_named(format, checkpoints, tmp_path, monkeypatch):
    monkeypatch.setattr("importlib.import_module", lambda name: (_ for _ in ()).throw(ImportError(name=name)))
    with pytest.raises(DeployError, match=rf"which is not installed; .*pip install -e '\.\[{FORMATS[format].extra}\]'"):
        export(checkpoints["classification"], format, tmp_path / f"x{FORMATS[format].suffix}")
    assert list(tmp_path.iterdir()) == []


def test_a_file_is_of_the_weights_that_were_read(checkpoints, tmp_path, monkeypatch):
    path = tmp_path / "best.ckpt"
    shutil.copy(checkpoints["classification"], path)

    def load_late(path, device):  # as a training goes on meanwhile
        task = load_task(path, device)
        torch.save(torch.load(path), path)
        return task

    monkeypatch.setattr(exporting, "load_task", load_late)
    with pytest.raises(TaskError, match=r"best\.ckpt: was replaced while it was read"):
        export(path, "onnx")
    assert [*tmp_path.iterdir()] == [path]


def test_what_cannot_be_exported(checkpoints, tmp_path):
    folder = tmp_path / "folder.onnx"
    folder.mkdir()
    for options, said in (
        ({"output_kind": "boxes"}, "--output-kind boxes: segmentation has logits, mask"),
        ({"path": tmp_path / "x.tflite"}, "files of onnx end in .onnx"),
        ({"path": checkpoints["segmentation"] / "x.onnx"}, r"best\.ckpt: is a file; name a folder with --output"),
        ({"path": folder}, "folder.onnx: is a folder; name a file"),
    ):
        with pytest.raises(TaskError, match=said):
            export(checkpoints["segmentation"], "onnx", **options)
    assert list(tmp_path.iterdir()) == [folder]


def test_a_full_disk_is_told_by_openvino_too(checkpoints, tmp_path, monkeypatch):
    openvino = pytest.importorskip("openvino")

    def fail(*_, **__):
        raise RuntimeError("basic_ios::clear: iostream error")

    monkeypatch.setattr(openvino, "save_model", fail)
    with pytest.raises(TaskError, match=r"x\.bin: could not be written \(basic_ios::clear"):
        export(checkpoints["classification"], "openvino", tmp_path / "x.xml")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "change",
    [
        {"spec": []},
        {"spec": {"names": None}},
        {"spec": {"table": {"of a later release": 1}}},
        {"size": ["a", "b"]},
        {"size": [-1, 0]},
        {"size": [64, 10**9]},
        {"input": "float64"},
        {"task": ["detection"]},
    ],
)
def test_a_sealed_file_that_describes_none_of_our_networks_is_one_line(change, checkpoint, tmp_path):
    spec, path = load_task(checkpoint, "cpu").describe(), tmp_path / "x.pte"
    told = {"task": "segmentation", "output_kind": "mask", "outputs": ["mask"], "size": (64, 64), "input": "uint8"}
    told |= {"spec": spec, "precision": "float32", "checkpoint": "", "made_by": {}} | change
    if isinstance(told["spec"], dict):
        told["spec"] = spec | told["spec"]
    path.write_bytes(b"program")
    path.with_suffix(".json").write_text(Description(**told).to_json())
    seal(path.with_suffix(".json"), path)
    with pytest.raises(DeployError, match=r"x\.(json|pte): ") as raised:
        load(path)
    assert "\n" not in str(raised.value)


def test_other_files_are_told(tmp_path):
    for name in ("x.onnx", "x.tflite", "x.xml", "x.pte"):
        with pytest.raises(DeployError, match="no such file"):
            load(tmp_path / name)
    pytest.importorskip("onnx")
    import onnx

    node = onnx.helper.make_node("Identity", ["x"], ["y"])
    values = [onnx.helper.make_tensor_value_info(name, 1, [1]) for name in "xy"]
    model = onnx.helper.make_model(onnx.helper.make_graph([node], "g", values[:1], values[1:]))
    onnx.save(model, tmp_path / "x.onnx")
    with pytest.raises(DeployError, match=r'x\.onnx: its metadata_props lack "mobiledense"'):
        load(tmp_path / "x.onnx")
    (tmp_path / "x.onnx").write_bytes(b"garbage")
    with pytest.raises(DeployError, match=r"x\.onnx: no ONNX file"):
        load(tmp_path / "x.onnx")
