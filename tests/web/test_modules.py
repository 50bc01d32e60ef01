"""The page's own JavaScript beside what it repeats of NumPy, OpenCV and deploy/; without a browser, in Node.js."""

import base64
import json
import shutil
import subprocess

import numpy as np
import pytest

from datasets import resize_image
from deploy import export
from deploy import numpy_decoding as decoding
from deploy.serving import PAGE
from tests.deploy.test_numpy_decoding import ANCHORS, outputs

NODE = shutil.which("node")
pytestmark = pytest.mark.skipif(NODE is None, reason="node is not installed")
RUN = """
import { webcrypto } from 'node:crypto';
import { readFileSync } from 'node:fs';
globalThis.crypto ??= webcrypto;
const { name, code, values } = JSON.parse(readFileSync(0));
const page = await import('data:text/javascript;base64,' + readFileSync(name).toString('base64'));
const TYPES = { float32: Float32Array, uint8: Uint8Array };
const revive = ({ type, data }) => new TYPES[type](Uint8Array.from(Buffer.from(data, 'base64')).buffer);
const given = values.map((value) => (value?.type ? revive(value) : value));
const plain = (value) => (ArrayBuffer.isView(value) ? Array.from(value) : value);
const found = await new Function('page', 'given', `return (async () => (${code}))()`)(page, given);
const fields = ([key, value]) => [key, plain(value)];
const out = found?.constructor === Object ? Object.fromEntries(Object.entries(found).map(fields)) : plain(found);
console.log(JSON.stringify(out));
"""


def node(module: str, code: str, *values):
    """What an expression over a module, `page`, and values, `given`, comes to."""
    packed = [
        {"type": str(value.dtype), "data": base64.b64encode(value.tobytes()).decode()}
        if isinstance(value, np.ndarray)
        else value
        for value in values
    ]
    given = json.dumps({"name": str(PAGE / module), "code": code, "values": packed})
    command = [NODE, "--input-type=module", "-e", RUN]
    done = subprocess.run(command, input=given, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.parametrize("sigmoid", [False, True])
@pytest.mark.parametrize("classes, sharpness", [(1, 2), (20, 1), (90, 0.3), (5, 30)])
def test_scores_and_boxes(classes, sharpness, sigmoid):
    logits, offsets = (values.numpy() for values in outputs(classes, sharpness))
    found = node("decoding.js", "page.classScores(...given)", logits, classes + 1, sigmoid)
    expected = decoding.class_scores(logits, sigmoid)
    np.testing.assert_allclose(np.reshape(found, expected.shape), expected, atol=1e-6)
    boxes = node("decoding.js", "page.decodeBoxes(...given)", offsets, ANCHORS.numpy())
    np.testing.assert_allclose(
        np.reshape(boxes, (-1, 4)), decoding.decode_boxes(offsets, ANCHORS.numpy()), atol=1e-6, rtol=1e-5
    )


def test_softmax():
    values = np.random.default_rng(0).normal(0, 40, (50, 7)).astype(np.float32)
    found = node("decoding.js", "page.softmax(...given)", values, 7)
    np.testing.assert_allclose(np.reshape(found, (50, 7)), decoding.softmax(values), atol=1e-6)


@pytest.mark.parametrize(
    "ours, theirs",
    [
        ({}, {}),
        ({"scoreThreshold": 0.3}, {"score_threshold": 0.3}),
        ({"iouThreshold": 0.2, "maxDetections": 20}, {"iou_threshold": 0.2, "max_detections": 20}),
        ({"topkPerClass": 30}, {"topk_per_class": 30}),
        ({"scoreThreshold": 2}, {"score_threshold": 2}),  # leaves nothing
    ],
)
@pytest.mark.parametrize("classes, sharpness", [(1, 2), (20, 1), (90, 0.3)])
def test_detections(classes, sharpness, ours, theirs):
    logits, offsets = (values.numpy() for values in outputs(classes, sharpness))
    boxes, scores = decoding.decode_boxes(offsets, ANCHORS.numpy()), decoding.class_scores(logits)
    found = node("decoding.js", "page.detect(...given)", boxes, scores, ours)
    expected = decoding.detect(boxes, scores, **theirs)
    assert found["labels"] == expected[2].tolist()
    np.testing.assert_array_equal(np.array(found["scores"], np.float32), expected[1])
    np.testing.assert_array_equal(np.array(found["boxes"], np.float32).reshape(-1, 4), expected[0])


@pytest.mark.parametrize(
    "small, size", [((8, 8), (64, 64)), ((17, 33), (129, 257)), ((9, 9), (9, 9)), ((20, 24), (7, 11)), ((1, 1), (6, 5))]
)
@pytest.mark.parametrize("classes", [1, 21, 300])
def test_masks(classes, small, size):
    logits = np.random.default_rng(0).normal(0, 1, (*small, classes)).astype(np.float32)
    found = node("decoding.js", "page.classMask(...given)", logits, logits.shape, size)
    assert (np.reshape(found, size) == decoding.class_mask(logits, size)).mean() > 0.9999


@pytest.mark.parametrize(
    "shape, size",
    [
        ((360, 480), (256, 256)),  # shrinks by other than whole numbers
        ((128, 192), (64, 64)),  # by whole ones
        ((96, 200), (96, 64)),  # along one side
        ((40, 300), (96, 128)),  # grows along one side, and so is linear along both
        ((33, 21), (128, 100)),
        ((1, 1), (8, 8)),
    ],
)
def test_images_are_resized_as_opencv_does(shape, size):
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 256, (*shape, 4), dtype=np.uint8)
    code = "page.resize({data: given[0], width: given[1], height: given[2]}, given[3])"
    found = np.reshape(node("resize.js", code, pixels, shape[1], shape[0], size), (*size, 3))
    expected = resize_image(np.ascontiguousarray(pixels[..., :3]), size)
    difference = np.abs(found - expected.astype(int))
    assert difference.max() <= 1 and (difference > 0).mean() < 0.005


def test_a_window_of_an_image_is_resized():
    pixels = np.random.default_rng(0).integers(0, 256, (60, 90, 4), dtype=np.uint8)
    code = "page.resize({data: given[0], width: 90, height: 60}, [32, 32], [15, 0, 60, 60])"
    found = np.reshape(node("resize.js", code, pixels), (32, 32, 3))
    expected = resize_image(np.ascontiguousarray(pixels[:, 15:75, :3]), (32, 32))
    assert np.abs(found - expected.astype(int)).max() <= 1


def described(content: bytes, name: str):
    """What metadata.js says of a file: its description, or the line of its error."""
    code = "page.readDescription(...given).catch((error) => error.message)"
    return node("metadata.js", code, np.frombuffer(content, np.uint8), name)


@pytest.fixture(scope="module", params=["onnx", "litert"])
def model(request, detector, tmp_path_factory):
    pytest.importorskip({"onnx": "onnx", "litert": "litert_torch"}[request.param])
    path = tmp_path_factory.mktemp("models") / {"onnx": "x.onnx", "litert": "x.tflite"}[request.param]
    return export(detector, request.param, path, "raw")


def test_descriptions_are_read(model):
    from deploy.runtimes import FORMATS

    expected = next(form for form in FORMATS.values() if form.suffix == model.suffix).read_description(model)
    found = described(model.read_bytes(), model.name)
    assert found.pop("suffix") == model.suffix
    assert found == json.loads(expected.to_json())


def test_changed_and_cut_files_are_told(model):
    content = model.read_bytes()
    changed = bytearray(content)
    changed[len(content) * 2 // 3] ^= 1
    assert "was changed or damaged" in described(bytes(changed), model.name)
    for share in (0.1, 0.5, 0.9, 0.999):
        assert described(content[: int(share * len(content))], model.name).startswith(model.name)
    rng = np.random.default_rng(0)
    for _ in range(10):  # wherever it is damaged, there is a line and no exception of another kind
        damaged = bytearray(content)
        for place in rng.integers(0, len(content), 200):
            damaged[place] ^= 255
        assert isinstance(described(bytes(damaged), model.name), str)


@pytest.mark.parametrize(
    "content, name, said",
    [
        (b"", "x.onnx", "lacks the entry"),
        (b"hello, this is no model", "x.onnx", "neither a .tflite nor an .onnx file, or a damaged one"),
        (b"hello, this is no model", "x.tflite", "is no .tflite file, or a damaged one"),
        (b"\x1c\0\0\0TFL3" + bytes(100), "x.tflite", "lacks the entry"),
        (b"\xff\xff\0\0TFL3" + bytes(100), "x.tflite", "a damaged .tflite file"),
    ],
)
def test_other_files_are_told(content, name, said):
    found = described(content, name)
    assert isinstance(found, str) and found.startswith(name) and said in found


@pytest.mark.parametrize(
    "change, said",
    [
        ({"format": 2}, "is of format 2, and this page reads up to 1"),
        ({"format": None}, "is of format null"),
        ({"task": "depth"}, "has outputs that this page cannot draw (depth: boxes,scores)"),
        ({"outputs": ["heat"]}, "cannot draw (detection: heat)"),
        ({"size": ...}, "lacks size in its description"),
        ({}, "has no checksum"),
    ],
)
def test_descriptions_that_the_page_cannot_use_are_told(change, said):
    description = {"task": "detection", "spec": {}, "output_kind": "boxes", "outputs": ["boxes", "scores"]}
    description |= {"size": [64, 64], "input": "uint8", "format": 1} | change
    text = json.dumps({key: value for key, value in description.items() if value is not ...}).encode()
    pair = b"\x0a\x0bmobiledense\x12" + varint(len(text)) + text
    assert said in described(b"\x72" + varint(len(pair)) + pair, "x.onnx")


def varint(value: int) -> bytes:
    """As protobuf writes lengths."""
    return bytes([value]) if value < 128 else bytes([value % 128 + 128]) + varint(value // 128)
