"""tools/export.py, and exported files in the tools that take checkpoints."""

import json

import pytest

import tasks  # noqa: F401 which finds datasets
from datasets import read_image
from deploy import DeployError, export


@pytest.fixture
def exported(checkpoint, shapes, tmp_path, tool_here):
    """For images of the size of the first one."""
    pytest.importorskip("onnxruntime")
    path = tmp_path / "x.onnx"
    first = sorted(shapes.glob("JPEGImages/val*"))[0]
    size = [str(side) for side in read_image(first).shape[:2]]
    options = ["--checkpoint", str(checkpoint), "--format", "onnx", "--output", str(path), "--size", *size]
    said = tool_here("export", *options)
    assert f"wrote {path}" in said
    return path


def scores(folder):
    return json.loads((folder / "scores.json").read_text())


def test_an_exported_file_is_evaluated_as_its_checkpoint_is(exported, checkpoint, shapes, tmp_path, tool_here):
    data = ["--dataset", "voc", "--data-root", str(shapes), "--max-images", "1", "--workers", "0"]
    tool_here("eval_seg", "--checkpoint", str(exported), *data)
    tool_here("eval_seg", "--checkpoint", str(checkpoint), *data, "--output", str(tmp_path / "b"))
    found, expected = scores(tmp_path / "eval_val_x.onnx"), scores(tmp_path / "b")
    assert found["miou"] == pytest.approx(expected["miou"], abs=1e-3)
    assert found.keys() == expected.keys()


def test_an_exported_file_predicts(exported, shapes, tmp_path, tool_here):
    image = next((shapes / "JPEGImages").glob("*"))
    tool_here("predict", "--checkpoint", str(exported), "--source", str(image), "--output", str(tmp_path / "out"))
    assert sorted(path.suffix for path in (tmp_path / "out").iterdir()) == [".png", ".png"]


@pytest.mark.parametrize(
    "tool, options, said",
    [
        ("eval_det", ["--dataset", "voc"], "is for segmentation, not for detection"),
        ("eval_seg", ["--dataset", "voc", "--runtime", "litert"], "--runtime litert: "),
        ("eval_seg", ["--dataset", "voc", "--output-stride", "8"], "--output-stride is for a checkpoint"),
        ("eval_seg", ["--dataset", "voc", "--tta-flip"], "scales, flips and windows are for a checkpoint"),
    ],
)
def test_what_an_exported_file_cannot_do(tool, options, said, exported, shapes, tmp_path, tool_here):
    options = [*options, "--data-root", str(shapes), "--output", str(tmp_path / "out"), "--workers", "0"]
    found = tool_here(tool, "--checkpoint", str(exported), *options, succeeds=False)
    assert said in found and len(found.strip().splitlines()) == 1


def test_export_takes_a_string_and_names_the_formats(checkpoint):
    with pytest.raises(DeployError, match="--format tflite: there are onnx, openvino, executorch, litert"):
        export(str(checkpoint), "tflite")


def test_an_exported_file_is_not_exported_again(exported, tmp_path, tool_here):
    options = ["--format", "openvino", "--output", str(tmp_path / "y.xml")]
    said = tool_here("export", "--checkpoint", str(exported), *options, succeeds=False)
    assert said.strip() == (
        f"export.py: --checkpoint {exported}: was exported already; give the checkpoint that it was made from"
    )


@pytest.mark.parametrize("option, value", [("split", "test"), ("max-drop", "2"), ("max-images", "3")])
def test_options_of_an_evaluation_need_a_dataset(option, value, checkpoint, tool_here):
    options = ["--checkpoint", str(checkpoint), "--format", "onnx", f"--{option}", value]
    assert f"--{option} needs --dataset" in tool_here("export", *options, succeeds=False)
