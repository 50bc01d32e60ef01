"""A file that is worse than its checkpoint does not get its name."""

import re

import numpy as np
import pytest

import deploy.exporting
from deploy import DeployError, export, load
from deploy.export_options import Gate, Quantisation
from deploy.exporting import draft
from deploy.gate import compare_predictions
from tasks.detection.detections import Detections

IMAGES = [np.full((10, 10, 3), value, dtype=np.uint8) for value in range(100)]


class Fake:
    """Predicts by a function of the image's number."""

    def __init__(self, predicted):
        self.predicted = predicted

    def predict(self, images):
        return [self.predicted(int(image[0, 0, 0])) for image in images]


@pytest.mark.parametrize("wrong, passed", [(2, True), (3, False)])
def test_classes(wrong, passed):
    plain, file = Fake(lambda n: np.eye(3)[0]), Fake(lambda n: np.eye(3)[int(n < wrong)])
    result = compare_predictions("classification", plain, file, IMAGES)
    assert result.passed == passed
    assert f"{100 - wrong}.00 % of 100 images" in result.said and "without labels" in result.said


@pytest.mark.parametrize("wrong, passed", [(2, True), (3, False)])
def test_pixels(wrong, passed):
    def mask(number):
        found = np.zeros((10, 10), dtype=np.uint8)
        found.flat[:wrong] = 1
        return found

    result = compare_predictions("segmentation", Fake(lambda n: np.zeros((10, 10), dtype=np.uint8)), Fake(mask), IMAGES)
    assert result.passed == passed and "10,000 pixels" in result.said


def boxes(*rows):
    found = np.array(rows, dtype=np.float32).reshape(-1, 6)
    return Detections(found[:, :4], found[:, 4], found[:, 5].astype(np.int64))


FLOAT = (0, 0, 10, 10, 0.9, 1), (20, 20, 30, 30, 0.31, 0), (40, 40, 50, 50, 0.1, 0)


@pytest.mark.parametrize(
    "rows, share",
    [
        (FLOAT, 100),
        (((0, 0, 10, 8, 0.5, 1), (21, 20, 31, 30, 0.16, 0)), 100),  # elsewhere by a little, less sure
        (((0, 0, 10, 10, 0.9, 2), FLOAT[1]), 50),  # of another class
        (((0, 0, 10, 4, 0.9, 1), FLOAT[1]), 50),  # too small
        (FLOAT[:1], 200 / 3),  # one is missing
        ((*FLOAT, (60, 60, 70, 70, 0.8, 0)), 80),  # one too many
        ((), 0),
    ],
)
def test_boxes(rows, share):
    result = compare_predictions("detection", Fake(lambda n: boxes(*FLOAT)), Fake(lambda n: boxes(*rows)), IMAGES[:3])
    assert f"{share:.2f} % of" in result.said and result.passed == (share >= 95)


def test_nothing_to_compare():
    with pytest.raises(DeployError, match="nothing is found in 3 images"):
        compare_predictions("detection", Fake(lambda n: boxes()), Fake(lambda n: boxes()), IMAGES[:3])


def test_a_draft_is_elsewhere_until_it_is_done(tmp_path):
    path = tmp_path / "new" / "x.xml"
    with pytest.raises(KeyboardInterrupt), draft(path) as unfinished:
        unfinished.write_text("half")
        raise KeyboardInterrupt
    assert list(tmp_path.iterdir()) == [] and not unfinished.parent.exists()
    with draft(path) as unfinished:
        unfinished.write_text("network")
        unfinished.with_suffix(".bin").write_text("weights")
        assert list(tmp_path.iterdir()) == []
    assert {file.name: file.read_text() for file in path.parent.iterdir()} == {"x.xml": "network", "x.bin": "weights"}
    assert not unfinished.parent.exists()


class Worse:
    """A file whose masks are all of one class."""

    def __init__(self, file):
        self.spec, self.file = file.spec, file

    def predict(self, images, **options):
        return [np.full_like(mask, 5) for mask in self.file.predict(images, **options)]


@pytest.mark.parametrize("format", ["onnx", "openvino"])
def test_export(format, checkpoint, shapes, tmp_path, monkeypatch, capsys):
    pytest.importorskip({"onnx": "onnxruntime", "openvino": "nncf"}[format])
    path = tmp_path / ("x.onnx" if format == "onnx" else "x.xml")
    photographs = Quantisation(int8=True, calibration=str(shapes / "JPEGImages"), calibration_images=8)
    train = Quantisation(int8=True, calibration="voc", calibration_images=8)
    gate = Gate(dataset="voc", data_root=shapes, split="val", max_drop=30)
    with pytest.raises(DeployError, match=r"shows the same as .* of val, which the file is evaluated on"):
        export(
            checkpoint, format, path, quantisation=Quantisation(True, calibration=str(shapes / "JPEGImages")), gate=gate
        )
    assert export(checkpoint, format, path, quantisation=train, gate=gate) == path
    assert load(path).description.precision == "int8"
    assert re.search(r"mIoU [\d.]+ of the checkpoint, [\d.]+ of the file", capsys.readouterr().out)
    files = {file.name for file in tmp_path.iterdir()}
    assert files == {path.name, f"{path.name}.quantisation.txt"} | ({"x.bin"} if format == "openvino" else set())
    for file in tmp_path.iterdir():
        file.unlink()
    monkeypatch.setattr(deploy.exporting, "load", lambda path: Worse(load(path)))
    with pytest.raises(
        DeployError, match=r"mIoU [\d.]+ of the checkpoint, [\d.]+ of the file .*--max-drop 0"
    ) as raised:
        export(checkpoint, format, path, quantisation=train, gate=Gate("voc", shapes, "val", max_drop=0))
    assert "\n" not in str(raised.value) and str(path) in str(raised.value)
    with pytest.raises(DeployError, match=r"without labels: [\d.]+ % of"):
        export(checkpoint, format, path, quantisation=photographs)
    assert [file.name for file in tmp_path.iterdir()] == [f"{path.name}.quantisation.txt"]
    told = (tmp_path / f"{path.name}.quantisation.txt").read_text()
    assert "without labels" in told and "simulated" in told and "backbone.stem.conv" in told


@pytest.mark.slow
def test_float_is_compared_if_asked(classifier, tmp_path, capsys):
    pytest.importorskip("onnxruntime")
    gate = Gate(dataset="folder", data_root=classifier.parents[1] / "tree", max_drop=0.01)
    path = export(classifier, "onnx", tmp_path / "x.onnx", gate=gate)
    assert [file.name for file in tmp_path.iterdir()] == [path.name]
    assert "top-1" in capsys.readouterr().out
    export(classifier, "onnx", tmp_path / "y.onnx", quantisation=Quantisation(float16=True), gate=gate)
    assert load(tmp_path / "y.onnx").description.precision == "float16"


def test_what_a_format_does_not_have(classifier, tmp_path, monkeypatch):
    monkeypatch.setattr(deploy.exporting.FORMATS["onnx"], "precisions", ("float32",))
    with pytest.raises(DeployError, match="--float16 is not to be had with --format onnx"):
        export(classifier, "onnx", tmp_path / "x.onnx", quantisation=Quantisation(float16=True))
    assert list(tmp_path.iterdir()) == []
