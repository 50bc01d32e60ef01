import pytest

from search.configurations import narrower_layers
from search.latencies import LatencyTable
from search.layer_files import read_layers, write_layers
from search.search_errors import SearchError
from tasks.costs import build_spec

LAYERS = narrower_layers(build_spec("v3-small", "classifier", 3, size=(32, 32)), 512)[:6]
OF_TFLITE = "INFO: Inference timings in us: Init: 3, First inference: 9, Warmup (avg): 8.5, Inference (avg): {:.1f}\n"
OF_ONNX = "Session creation time cost: 0.2 s\nAverage inference time cost: {} ms\n"


def table(runtime):
    return LatencyTable("classifier", (32, 32), runtime, 2, "not measured yet")


@pytest.fixture
def folder(tmp_path):
    pytest.importorskip("onnx")
    write_layers(table("onnxruntime"), LAYERS, tmp_path)
    return tmp_path


def said(folder, text, unit=1.0):
    for number in range(len(LAYERS)):
        (folder / f"layer_{number:05d}.txt").write_text("noise\n" + text.format(unit * (number + 1)))


def test_what_a_phones_tool_printed_becomes_a_table(folder):
    assert len(list(folder.glob("*.onnx"))) == len(LAYERS)
    script = (folder / "measure.sh").read_text()
    assert "*.onnx" in script and "-x 2" in script
    said(folder, OF_ONNX)
    found = read_layers(folder, "a phone")
    assert (found.machine, found.threads, found.runtime) == ("a phone", 2, "onnxruntime")
    assert found.milliseconds == {layer: number + 1.0 for number, layer in enumerate(LAYERS)}
    assert found.complete and not LatencyTable.read(folder / "layers.json").complete  # which prices nothing


def test_microseconds_of_tensorflow_lites_tool(tmp_path):
    index = table("litert")
    index.milliseconds = {layer: float(number) for number, layer in enumerate(LAYERS)}
    index.complete = False
    index.write(tmp_path / "layers.json")
    said(tmp_path, OF_TFLITE, unit=1000.0)
    assert list(read_layers(tmp_path, "a phone").milliseconds.values()) == pytest.approx([1, 2, 3, 4, 5, 6])


def test_a_folder_goes_on_only_with_its_own_layers(folder):
    write_layers(table("onnxruntime"), LAYERS, folder)
    with pytest.raises(SearchError, match="is of other layers"):
        write_layers(table("onnxruntime"), LAYERS[1:], folder)


def test_layers_that_were_not_measured_are_told(folder):
    with pytest.raises(SearchError, match=r"6 of 6 layers have no \.txt"):
        read_layers(folder, "a phone")
    for text in (
        "Killed\n",
        OF_ONNX.format("-0.5"),
        OF_ONNX.format("0"),
        OF_ONNX.format("1e"),
        OF_ONNX.format("1e999"),
    ):
        said(folder, text)
        with pytest.raises(SearchError, match=r"layer_00000\.txt: has no time above 0"):
            read_layers(folder, "a phone")


def test_the_script_runs_the_tool_on_each_layer_once(folder):
    import subprocess

    tool = folder / "tool"
    tool.write_text('#!/bin/sh\necho run >> runs\necho "Average inference time cost: 1.5 ms"\n')
    tool.chmod(0o755)
    for _ in range(2):
        subprocess.run(["sh", "measure.sh", "./tool"], cwd=folder, check=True)
    assert (folder / "runs").read_text().count("run") == len(LAYERS)
    assert set(read_layers(folder, "a phone").milliseconds.values()) == {1.5}
