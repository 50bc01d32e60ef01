"""A .tflite for MediaPipe Tasks: what it says, as MediaPipe's own classes read it, and that LiteRT still runs it."""

import io
import re
import zipfile

import numpy as np
import pytest

from backbones import create_table
from deploy import DeployError, export, load
from deploy.description import Description
from deploy.graph import MEDIAPIPE_OUTPUTS
from deploy.mediapipe_metadata import append_labels, model_metadata, require_fit
from deploy.mediapipe_runtime import MediapipePredictor
from tasks.wings import load_task

NAMES = ["cat", "dog", "Käfer"]
KINDS = [(task, kind) for task, kinds in MEDIAPIPE_OUTPUTS.items() for kind in kinds]


def described(task="detection", kind="boxes", names=NAMES, **more):
    """A description as exporting makes it."""
    spec = {"table": {"name": create_table("v3-small").name}, "head": "a head", "names": names}
    outputs = list(MEDIAPIPE_OUTPUTS[task][kind])
    common = {"size": (64, 96), "input": "float32", "precision": "float32", "checkpoint": "", "made_by": {}}
    return Description(task, spec, kind, outputs, target="mediapipe", **common, **more)


def parsed(description):
    """ModelMetadata as MediaPipe reads it."""
    flatbuffers = pytest.importorskip("flatbuffers")
    schema = pytest.importorskip("mediapipe.tasks.metadata.metadata_schema_py_generated")
    content = model_metadata(description, flatbuffers)
    assert schema.ModelMetadata.ModelMetadataBufferHasIdentifier(content, 0)
    return schema, schema.ModelMetadataT.InitFromObj(schema.ModelMetadata.GetRootAs(content, 0))


@pytest.mark.parametrize("task, kind", KINDS)
def test_metadata_says_what_goes_in_and_comes_out(task, kind):
    schema, found = parsed(described(task, kind, license="CC-BY-4.0 ü"))
    assert found.license.decode() == "CC-BY-4.0 ü" and found.minParserVersion == b"1.5.0"
    (graph,) = found.subgraphMetadata
    (image,) = graph.inputTensorMetadata
    assert image.content.contentPropertiesType == schema.ContentProperties.ImageProperties
    assert image.content.contentProperties.colorSpace == schema.ColorSpaceType.RGB
    (unit,) = image.processUnits
    assert unit.optionsType == schema.ProcessUnitOptions.NormalizationOptions
    assert list(unit.options.mean) == [0] and list(unit.options.std) == [1]
    outputs = graph.outputTensorMetadata
    assert [tensor.name.decode() for tensor in outputs][:3] == list(MEDIAPIPE_OUTPUTS[task][kind])[:3]
    files = {
        tensor.name.decode(): (tensor.associatedFiles[0].name, tensor.associatedFiles[0].type)
        for tensor in outputs
        if tensor.associatedFiles
    }
    axis, value = schema.AssociatedFileType.TENSOR_AXIS_LABELS, schema.AssociatedFileType.TENSOR_VALUE_LABELS
    last = {"plain": "category", "boxes": "category", "raw": "score"}.get(kind, kind)
    assert files == {last: (b"labels.txt", value if last == "category" else axis)}
    if task == "detection":
        assert outputs[0].content.contentPropertiesType == schema.ContentProperties.BoundingBoxProperties
        boxes = outputs[0].content.contentProperties
        assert (boxes.type, boxes.coordinateType) == (schema.BoundingBoxType.BOUNDARIES, schema.CoordinateType.RATIO)
        assert list(boxes.index) == [1, 0, 3, 2]
    names = [custom.name.decode() for custom in graph.customMetadata or []]
    assert names == ({"logits": ["SEGMENTER_METADATA"], "raw": ["DETECTOR_METADATA"]}.get(kind, []))


def test_segmenter_applies_softmax():
    module = "mediapipe.tasks.metadata.image_segmenter_metadata_schema_py_generated"
    own = pytest.importorskip(module)
    _, found = parsed(described("segmentation", "logits"))
    content = bytes(found.subgraphMetadata[0].customMetadata[0].data)
    assert own.ImageSegmenterOptions.ImageSegmenterOptionsBufferHasIdentifier(content, 0)
    options = own.ImageSegmenterOptions.GetRootAs(content, 0)
    assert options.Activation() == own.Activation.SOFTMAX


def test_raw_detector_tells_its_anchors_and_scales():
    own = pytest.importorskip("mediapipe.tasks.metadata.object_detector_metadata_schema_py_generated")
    anchors = [[0.1, 0.2, 0.3, 0.4], [0.5, 0.6, 0.7, 0.8]]
    _, found = parsed(described(kind="raw", anchors=anchors))
    content = bytes(found.subgraphMetadata[0].customMetadata[0].data)
    assert own.ObjectDetectorOptions.ObjectDetectorOptionsBufferHasIdentifier(content, 0)
    options = own.ObjectDetectorOptionsT.InitFromObj(own.ObjectDetectorOptions.GetRootAs(content, 0))
    fixed = options.ssdAnchorsOptions.fixedAnchorsSchema.anchors
    told = [[one.xCenter, one.yCenter, one.width, one.height] for one in fixed]
    np.testing.assert_allclose(told, anchors, atol=1e-7)
    decoding = options.tensorsDecodingOptions
    assert (decoding.numClasses, decoding.numBoxes, decoding.numCoords) == (len(NAMES), 2, 4)
    assert (decoding.xScale, decoding.yScale, decoding.wScale, decoding.hScale) == (10, 10, 5, 5)
    assert decoding.applyExponentialOnBoxSize and not decoding.sigmoidScore
    assert decoding.numValuesPerKeypoint == 2 and decoding.numKeypoints == 0


def test_labels_lie_behind_a_model_and_are_stored(tmp_path):
    (tmp_path / "x").write_bytes(b"a model")
    append_labels(tmp_path / "x", NAMES)
    content = (tmp_path / "x").read_bytes()
    assert content.startswith(b"a model") and "Käfer".encode() in content
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        assert archive.read("labels.txt").decode().split("\n") == NAMES
        assert archive.infolist()[0].compress_type == zipfile.ZIP_STORED


@pytest.mark.parametrize(
    "names, said", [(["one"], "2 to 256 classes, and this 1"), (["skin", "hair"], '"hair"'), (["x"] * 257, "this 257")]
)
def test_networks_that_the_segmenter_takes_for_others(names, said):
    with pytest.raises(DeployError, match=f"--target mediapipe: .*{said}"):
        require_fit(described("segmentation", "logits", names))
    require_fit(described("detection", "boxes", names))


@pytest.mark.parametrize("name", ["two\nlines", "a\r", ""])
@pytest.mark.parametrize("task, kind", [("detection", "boxes"), ("classification", "probabilities")])
def test_names_that_would_move_the_others_are_told(name, task, kind):
    with pytest.raises(DeployError, match="--target mediapipe: reads a class name from each line"):
        require_fit(described(task, kind, ["one", name, "other"]))


def test_an_image_that_would_end_the_process_is_refused():
    with pytest.raises(DeployError, match="one pixel wide"):
        MediapipePredictor.image(None, np.zeros((5, 1, 3), dtype=np.uint8))


def test_what_cannot_be_exported_for_mediapipe(checkpoint, tmp_path):
    for options, said in (
        ({"format": "onnx"}, "--target mediapipe is for --format litert, not for onnx"),
        (
            {"format": "litert", "output_kind": "mask"},
            "--output-kind mask: segmentation for --target mediapipe has logi",
        ),
    ):
        with pytest.raises(DeployError, match=said):
            export(checkpoint, path=tmp_path / "x.tflite", target="mediapipe", **options)
    with pytest.raises(DeployError, match="--output-kind plain: segmentation has logits, mask"):
        export(checkpoint, "onnx", output_kind="plain")
    assert list(tmp_path.iterdir()) == []


@pytest.fixture(scope="module")
def files(checkpoint, detector, classifier, tmp_path_factory):
    """Hardly trained, in each form: the file, and its checkpoint."""
    pytest.importorskip("litert_torch")
    folder, checkpoints = tmp_path_factory.mktemp("files"), {"segmentation": checkpoint, "detection": detector}
    made = {}
    for task, kind in KINDS:
        source = checkpoints.get(task, classifier)
        path = folder / f"{task}_{kind}.tflite"
        made[kind] = export(source, "litert", path, kind, target="mediapipe", license="none"), source
    return made


@pytest.mark.parametrize("kind", ["boxes", "plain", "raw"])
def test_litert_finds_what_the_checkpoint_finds(kind, files):
    """The operator of LiteRT clips nothing and knows no background, and these boxes are over the edges."""
    path, checkpoint = files[kind]
    file, task = load(path, threads=1), load_task(checkpoint, "cpu")
    assert file.description.input == "float32" and file.description.license == "none"
    image = np.random.default_rng(0).integers(0, 256, (*task.spec.input_size, 3), dtype=np.uint8)
    (found,), (expected,) = file.predict([image]), task.predict([image])
    count = len(expected.scores) if kind != "plain" else len(found.scores)  # which looks at 300 pairs
    assert 5 < count == len(found.scores)
    assert (found.boxes >= 0).all() and (found.boxes <= 64).all()
    np.testing.assert_allclose(found.scores, expected.scores[:count], atol=1e-4)
    sure = expected.scores[:count] > expected.scores[9] + 1e-4  # ties may come in any order
    np.testing.assert_allclose(found.boxes[sure], expected.boxes[:count][sure], atol=0.1)
    np.testing.assert_array_equal(found.labels[sure], expected.labels[:count][sure])
    assert file.description.thresholds.get("iou") == {"raw": None}.get(kind, 0.55)


def test_weights_are_aligned(files):
    schema = pytest.importorskip("ai_edge_litert.schema_py_generated")
    for path, _ in files.values():
        content = path.read_bytes()
        model = schema.Model.GetRootAs(content, 0)
        buffers = [model.Buffers(place) for place in range(model.BuffersLength())]
        arrays = [buffer._tab.Vector(buffer._tab.Offset(4)) for buffer in buffers if buffer.DataLength()]
        assert len(arrays) > 50 and {start % 16 for start in arrays} == {0}


def test_the_checksum_covers_the_labels(files, tmp_path):
    content = bytearray(files["probabilities"][0].read_bytes())
    assert load(files["probabilities"][0]).description.target == "mediapipe"
    place = content.rindex(b"labels.txt")  # in the directory of the ZIP
    for changed in (content[:place] + b"L" + content[place + 1 :], content[:place], content + b"x"):
        (tmp_path / "x.tflite").write_bytes(changed)
        for runtime in (None, "mediapipe"):
            with pytest.raises(DeployError, match=r"x\.tflite: was changed or damaged"):
                load(tmp_path / "x.tflite", runtime=runtime)


def test_files_for_others_are_told(classifier, files, tmp_path):
    plain = export(classifier, "litert", tmp_path / "x.tflite")
    said = f"--runtime mediapipe: {re.escape(str(plain))} lacks its metadata; export the checkpoint with --target medi"
    with pytest.raises(DeployError, match=said):
        load(plain, runtime="mediapipe")
    with pytest.raises(DeployError, match=r"--runtime mediapipe: .*is for torch"):
        load(classifier, runtime="mediapipe")
    with pytest.raises(DeployError, match=r"--runtime onnx: .*is for litert"):
        load(files["boxes"][0], runtime="onnx")


def test_mediapipe_that_is_not_installed_is_named(files, monkeypatch):
    import importlib

    original = importlib.import_module

    def without(name):
        if name.startswith("mediapipe"):
            raise ImportError(name=name)
        return original(name)

    monkeypatch.setattr("importlib.import_module", without)
    with pytest.raises(DeployError, match=r"--runtime mediapipe needs mediapipe, which is not .*\[test-phone\]"):
        load(files["boxes"][0], runtime="mediapipe")
