"""tools/benchmark.py, on tiny networks for a moment."""

import json

import pytest

from deploy import export


def test_files_are_measured_stage_by_stage(checkpoint, detector, shapes, tmp_path, tool_here):
    image = str(next((shapes / "JPEGImages").glob("val*")))
    data = ["--dataset", "voc", "--data-root", str(shapes), "--max-images", "1", "--workers", "0", "--drawn", "0"]
    tool_here("eval_seg", "--checkpoint", str(checkpoint), *data, "--output", str(tmp_path / "eval"))
    files = [str(checkpoint), str(detector)]
    options = ["--image", image, "--rounds", "2", "--scores", str(tmp_path / "eval"), "--output", str(tmp_path / "out")]
    said = tool_here("benchmark", *files, *options)
    assert all(word in said for word in ("preprocess", "network", "decode", "total", "of peak"))
    first, second = json.loads((tmp_path / "out" / "latency.json").read_text())
    assert first["file"] == files[0] and first["task"] == "segmentation" and second["task"] == "detection"
    for entry in (first, second):
        median = {stage: values[0] for stage, values in entry["milliseconds"].items()}
        assert 0 < max(median["preprocess"], median["network"], median["decode"]) <= median["total"]
        assert all(low <= middle <= high for middle, low, high in entry["milliseconds"].values())
        assert entry["madds"] > 10**6 and entry["megabytes"] > 0.1 and 0 < entry["peak_share"] < 10
    assert first["score"] is not None and second["score"] is None
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["latency.json", "latency_segmentation.png"]


def test_an_exported_file_is_measured(classifier, tmp_path, tool_here):
    pytest.importorskip("onnxruntime")
    path = export(classifier, "onnx", tmp_path / "a, b.onnx")
    said = tool_here("benchmark", str(path), "--threads", "1", "2", "--rounds", "2", "--output", str(tmp_path / "out"))
    assert "--image is not given" in said
    found = json.loads((tmp_path / "out" / "latency.json").read_text())
    assert [entry["threads"] for entry in found] == [1, 2]


@pytest.mark.parametrize(
    "options, said",
    [
        (["none.onnx"], "none.onnx: no such checkpoint"),
        (["{}", "--scores", "none.json"], "--scores none.json: is no scores.json"),
        (["{}", "--threads", "0"], "threads"),
        ([], "files"),
    ],
)
def test_what_cannot_be_measured_is_told(options, said, checkpoint, tool_here):
    found = tool_here("benchmark", *(option.format(checkpoint) for option in options), succeeds=False)
    assert said in found and len(found.strip().splitlines()) == 1
