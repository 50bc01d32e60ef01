"""Results of all tasks as objects: what they hold, draw and write, and which images they are of."""

import json
import sys
from copy import copy
from functools import cache

import cv2
import numpy as np
import pytest
from PIL import Image
from pycocotools import mask as rle

from backbones import BackboneOptions
from datasets import DataError, default_colours, read_image
from tasks import TaskError
from tasks.detection.detections import Detections, read_results
from tasks.joint.task import Joint
from tasks.options import Network, Prediction
from tasks.prediction import predict_images
from tasks.sources import find_sources
from tasks.wings import WINGS
from tests.tasks.detection.test_detections import split
from tests.tasks.segmentation.test_sliding_window import noise

NAMES = ["background", "Größe", "cat"]
NONE = Detections(np.zeros((0, 4), np.float32), np.zeros(0, np.float32), np.zeros(0, np.int64))
TWO = Detections(
    np.float32([[3, 2.3, 20.7, 22], [10, 4, 39, 29]]), np.float32([0.75, 0.5]), np.array([2, 1], dtype=np.int64)
)
MASK = np.zeros((30, 40), dtype=np.uint8)
MASK[5:15, 4:24], MASK[20:22, 30:33] = 2, 1
FOUND = {
    "segmentation": MASK,
    "detection": TWO,
    "classification": np.float32([0.1, 0.25, 0.65]),
    "joint": Joint(MASK, TWO),
}
ARRAYS = {"segmentation": ["mask"], "detection": ["boxes", "scores", "labels"], "classification": ["probabilities"]}
ARRAYS["joint"] = ARRAYS["segmentation"] + ARRAYS["detection"]
SUMMARIES = {"segmentation": "background 82.8 %, Größe 0.5 %, cat 16.7 %", "detection": "1 cat, 1 Größe"}
SUMMARIES["classification"] = "cat 65 %, Größe 25 %, background 10 %"
SUMMARIES["joint"] = "; ".join(SUMMARIES.values()).rpartition("; ")[0]
KINDS = list(FOUND)


@cache
def network(kind):
    wing = WINGS[kind]
    return wing.task(wing.make_spec(Network(), BackboneOptions(), NAMES, default_colours(3), (64, 64))).eval()


def untrained(kind, found=None):
    """A task, of which a result is told if it is given."""
    task = copy(network(kind))
    if found is not None:
        task.predict = lambda images, **options: np.stack([found]) if kind == "classification" else [found]
    return task


@pytest.fixture(scope="module", params=KINDS)
def kind(request):
    return request.param


@pytest.fixture(scope="module")
def result(kind):
    return untrained(kind, FOUND[kind])(noise(30, 40))[0]


# what a result holds


def test_arrays_are_those_of_predict(kind, result):
    found = FOUND[kind]
    told = {"segmentation": [found], "classification": [found]}.get(kind)
    if told is None:
        boxes = [TWO.boxes, TWO.scores, TWO.labels]
        told = boxes if kind == "detection" else [MASK, *boxes]
    for name, array in zip(ARRAYS[kind], told, strict=True):
        assert kind == "classification" or getattr(result, name) is array
        assert np.array_equal(getattr(result, name), array)
    assert result.names == NAMES and getattr(result, "box_names", NAMES) == NAMES


def test_no_array_of_a_network_is_copied(kind):
    task, given = untrained(kind), {}
    plain = task.predict
    task.predict = lambda images, **options: given.setdefault("found", plain(images, **options))
    (result,) = task(noise(50, 70), score_threshold=0.0)
    (found,) = given["found"]
    mask, boxes = found if kind == "joint" else (found, found)
    for name in ARRAYS[kind]:
        array = mask if name in ("mask", "probabilities") else getattr(boxes, name)
        assert np.shares_memory(getattr(result, name), array) and array.size


def test_a_result_says_what_is_seen(kind, result):
    assert repr(result) == f"image, 40x30: {SUMMARIES[kind]}"
    assert repr(untrained("detection", NONE)(noise(30, 40))) == "[image, 40x30: no boxes]"


# what it draws and writes


def test_it_draws_and_tells_as_the_tool_does(kind, result, tmp_path):
    Image.fromarray(noise(30, 40)).save(tmp_path / "a.png")
    task = untrained(kind, FOUND[kind])
    (of_file,) = task(tmp_path / "a.png")
    assert np.array_equal(of_file.plot(), result.plot()) and of_file.plot().dtype == np.uint8
    assert json.loads(of_file.to_json()) == json.loads(result.to_json()) | {"file": str(tmp_path / "a.png")}
    if kind == "classification":
        assert json.loads(result.to_json())["classes"] == pytest.approx({"cat": 0.65, "Größe": 0.25, "background": 0.1})
        return
    show = WINGS[kind].show(task, Prediction())
    predict_images(find_sources(str(tmp_path / "a.png"), tmp_path), tmp_path / "out", show, task.spec.colours, True)
    assert json.loads(of_file.to_json()) == json.loads((tmp_path / "out" / "a.json").read_text())
    (drawn,) = (path for path in (tmp_path / "out").glob("*.png") if "mask" not in path.name)
    assert np.array_equal(read_image(drawn), result.plot())


def test_a_drawing_is_ones_own(result):
    before = result.plot()
    result.plot()[:] = 0
    assert np.array_equal(result.plot(), before) and before.any()


def test_a_drawing_is_saved_whole_or_not_at_all(result, tmp_path):
    assert result.save(tmp_path / "new" / "a.png") == tmp_path / "new" / "a.png"
    assert np.array_equal(read_image(tmp_path / "new" / "a.png"), result.plot())
    jpg = result.save(str(tmp_path / "a.jpg"))
    assert Image.open(jpg).format == "JPEG"
    refused = {"a.doc": "written as .doc", "a": "a file without suffix", "new/a.png/b.png": "could not be written"}
    for name, why in refused.items():
        with pytest.raises(TaskError, match=why):
            result.save(tmp_path / name)
    assert {path.name for path in tmp_path.rglob("*")} == {"new", "a.png", "a.jpg"}


def test_a_notebook_shows_a_picture_of_bounded_size(result):
    shown = cv2.imdecode(np.frombuffer(result._repr_png_(), np.uint8), cv2.IMREAD_COLOR)
    assert np.array_equal(shown[:, :, ::-1], result.plot())
    (large,) = untrained("detection", TWO)(noise(500, 2000))
    assert large._repr_png_()[16:24] == (960).to_bytes(4, "big") + (240).to_bytes(4, "big")


def test_data_frame(kind, result):
    pytest.importorskip("pandas")
    frame = result.to_dataframe()
    assert tuple(frame.columns) == result.columns
    rows = {"segmentation": 3, "detection": 2, "classification": 3, "joint": 5}[kind]
    assert len(frame) == rows and set(frame["class"]) <= set(NAMES)
    if kind == "segmentation":
        assert frame["pixels"].tolist() == [994, 6, 200]
    if kind in ("detection", "joint"):
        assert frame.tail(2)["x2"].tolist() == TWO.boxes[:, 2].tolist()
    empty = untrained("detection", NONE)(noise(30, 40))[0].to_dataframe()
    assert len(empty) == 0 and tuple(empty.columns) == ("class", "score", "x1", "y1", "x2", "y2")


def test_classes_come_the_most_probable_first():
    rows = untrained("classification", FOUND["classification"])(noise(30, 40))[0].rows()
    assert [row["class"] for row in rows] == ["cat", "Größe", "background"]


def test_without_pandas_it_is_told_what_to_install(result, monkeypatch):
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(TaskError, match="pip install pandas"):
        result.to_dataframe()


# COCO


@pytest.mark.parametrize("kind", ["detection", "joint"])
def test_boxes_come_back_out_of_coco_results(kind, tmp_path):
    rows = untrained(kind, FOUND[kind])(noise(30, 40))[0].to_coco(7, [90, 1, 13])
    (tmp_path / "results.json").write_text(json.dumps(rows))
    (found, none) = read_results(tmp_path / "results.json", split([7, 8], [90, 1, 13]))
    for name in ("boxes", "scores", "labels"):
        assert np.array_equal(getattr(found, name), getattr(TWO, name))
    assert len(none.scores) == 0
    default = untrained(kind, FOUND[kind])(noise(30, 40))[0].to_coco("a")
    assert [(row["image_id"], row["category_id"]) for row in default] == [("a", 3), ("a", 2)]


def test_masks_come_back_out_of_coco_results():
    rows = json.loads(json.dumps(untrained("segmentation", MASK)(noise(30, 40))[0].to_coco(7)))
    assert [row["category_id"] for row in rows] == [1, 2]  # background is no category of COCO's
    for row in rows:
        assert np.array_equal(rle.decode(row["segmentation"]), row["category_id"] == MASK)
    assert untrained("segmentation", MASK * 0)(noise(30, 40))[0].to_coco(7) == []


def test_boxes_of_a_joint_result_have_the_pixels_of_their_class():
    cat, other = untrained("joint", FOUND["joint"])(noise(30, 40))[0].to_coco(7)
    inside = np.zeros_like(MASK)
    inside[2:22, 3:21] = MASK[2:22, 3:21] == 2
    assert np.array_equal(rle.decode(cat["segmentation"]), inside)
    assert np.array_equal(rle.decode(other["segmentation"]), MASK == 1)


def test_ids_that_do_not_fit_and_classes_of_images_are_refused():
    for kind in ("segmentation", "detection", "joint"):
        with pytest.raises(TaskError, match="category_ids has 2 ids for 3 classes: background, Größe, cat"):
            untrained(kind, FOUND[kind])(noise(30, 40))[0].to_coco(7, [1, 2])
    with pytest.raises(TaskError, match="none for the class of an image"):
        untrained("classification", FOUND["classification"])(noise(30, 40))[0].to_coco(7)


# which images


@pytest.fixture(scope="module")
def detector():
    return untrained("detection", TWO)


def test_images_are_paths_pillows_or_arrays(detector, tmp_path):
    image, path = noise(30, 40), tmp_path / "ü\n.png"
    Image.fromarray(image).save(path)
    given = [path, str(path), Image.open(path), Image.fromarray(image), image, image[:, ::-1][:, ::-1]]
    results = detector(given)
    assert [one.file for one in results] == [str(path)] * 3 + [None] * 3
    assert repr(results[0]).startswith(f"{tmp_path}/ü\\n.png, 40x30: ")
    for one, source in zip(results, given, strict=True):
        (alone,) = detector(source)
        assert np.array_equal(one.plot(), results[0].plot()) and np.array_equal(alone.plot(), one.plot())
    assert len(detector(np.stack([image] * 3))) == len(detector(iter([image] * 3))) == 3 and detector([]) == []


def test_the_image_given_is_not_drawn_into(kind):
    image = noise(30, 40)
    untrained(kind, {"segmentation": MASK * 0, "joint": Joint(MASK * 0, TWO)}.get(kind, FOUND[kind]))(image)
    assert np.array_equal(image, noise(30, 40))


def test_images_of_pillow_are_read_as_files_are(detector, tmp_path):
    upright, exif = noise(30, 40), Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(upright).save(tmp_path / "turned.png", exif=exif)
    Image.fromarray(np.uint16(noise(30, 40)[..., 0]) * 200).save(tmp_path / "deep.png")
    for name in ("turned.png", "deep.png"):
        (of_file,), (of_pillow,) = detector(tmp_path / name), detector(Image.open(tmp_path / name))
        assert np.array_equal(of_file.plot(), of_pillow.plot()) and of_file.size == of_pillow.size
    assert detector(tmp_path / "turned.png")[0].size == (40, 30)


@pytest.mark.parametrize(
    "given, told",
    [
        (np.zeros((30, 40), np.uint8), r"image 0 is uint8 \[30, 40\]; give a path, an image of Pillow's, or an array"),
        (np.zeros((30, 40, 4), np.uint8), r"image 0 is uint8 \[30, 40, 4\]"),
        (np.zeros((0, 40, 3), np.uint8), r"image 0 is uint8 \[0, 40, 3\]"),
        ([noise(30, 40), noise(30, 40) / 255.0], r"image 1 is float64 \[30, 40, 3\]"),
        (3, "image 0 is of type int"),
        ([None], "image 0 is of type NoneType"),
        (Image.new("F", (4, 4)), "image 0: images of mode F cannot be converted"),
        (Image.new("RGB", (0, 4)), "image 0: is 0x4; an image has pixels"),
        ("nowhere/a.jpg", r"^nowhere/a\.jpg: no such file$"),
        (["."], r"^\.: cannot be read \(it is a folder\)$"),
    ],
)
def test_what_is_no_image_is_one_line(detector, given, told):
    with pytest.raises((DataError, TaskError), match=told) as raised:
        detector(given)
    assert "\n" not in str(raised.value)


def test_options_are_those_of_the_tool():
    task, asked = untrained("segmentation"), []
    task.predict = lambda images, **options: asked.append(options) or [MASK]
    (plain,), (clear,) = task(noise(30, 40), tta_flip=True, window=(32, 32)), task(noise(30, 40), opacity=0.0)
    assert asked[0] == {"tta_scales": [1.0], "tta_flip": True, "window": (32, 32)}
    assert np.array_equal(clear.plot()[:30], noise(30, 40)) and not np.array_equal(plain.plot(), clear.plot())
    with pytest.raises(DataError, match=r"--score-threshold 2 is not in 0 to 1"):
        task(noise(30, 40), score_threshold=2)
    for option, told in (("output_stride", "deploy.load"), ("json", "to_json"), ("instances", "cut_instances")):
        with pytest.raises(TaskError, match=f"{option} is for the tool predict; .*{told}"):
            task(noise(30, 40), **{option: 8})
