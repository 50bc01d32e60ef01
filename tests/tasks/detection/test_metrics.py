import contextlib
import io
import json
import sys
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from datasets import DetectionFiles, Objects
from tasks.detection.detections import Detections, write_results
from tasks.detection.metrics import BACKENDS, STATS, coco_scores, voc_average_precision

COCO_MINI = Path(__file__).resolve().parents[4] / "shared" / "data" / "coco_mini"
Row = tuple[list[float], int]


def objects(*rows: Row, difficult: tuple[int, ...] = (), crowd: tuple[int, ...] = (), area: list | None = None):
    """Ground truth of an image, from (box, label)."""
    boxes = np.array([box for box, _ in rows], dtype=np.float32).reshape(-1, 4)
    flags = [np.isin(np.arange(len(rows)), chosen) for chosen in (difficult, (), crowd)]
    areas = (boxes[:, 2:] - boxes[:, :2]).prod(1) if area is None else np.array(area, dtype=np.float32)
    return Objects(boxes, np.array([label for _, label in rows], dtype=np.int64), *flags, areas)


def detections(*rows: tuple[list[float], int, float]) -> Detections:
    """Detections of an image, from (box, label, score)."""
    rows = tuple(sorted(rows, key=lambda row: -row[2]))
    boxes = np.array([box for box, *_ in rows], dtype=np.float32).reshape(-1, 4)
    scores = np.array([score for *_, score in rows], dtype=np.float32)
    return Detections(boxes, scores, np.array([label for _, label, _ in rows], dtype=np.int64))


def split(truth: list[Objects], classes: int = 1, ids: list | None = None, category_ids: list[int] | None = None):
    names, paths = [f"class {index}" for index in range(classes)], [Path(f"{index}.jpg") for index in range(len(truth))]
    ids = list(range(len(truth))) if ids is None else ids
    category_ids = list(range(classes)) if category_ids is None else category_ids
    return DetectionFiles(Path(), "val", names, paths, truth, ids, category_ids, [None] * len(truth), [], [])


def random_split(seed: int, images: int = 12, classes: int = 5, most: int = 40, **options):
    """Images with and without objects, crowds and areas below the boxes' own; detections near objects and elsewhere.

    Coordinates are quarters of pixels, which float32 holds exactly.
    """
    random = np.random.default_rng(seed)
    truth, found = [], []
    for image in range(images):
        boxes = random.integers(0, 1200, (random.integers(0, 9) * (image % 4 > 0), 4)) / 4
        boxes[:, 2:] = boxes[:, :2] + np.exp(random.uniform(1, 6, (len(boxes), 2))).round() / 4 + 1
        labels = random.integers(0, classes - 1, len(boxes))  # the last class has no ground truth
        shares = np.round((boxes[:, 2:] - boxes[:, :2]).prod(1) * random.uniform(0.5, 1, len(boxes)), 1)
        crowd = tuple(np.flatnonzero(random.random(len(boxes)) < 0.1))
        truth.append(objects(*zip(boxes.tolist(), labels.tolist(), strict=True), crowd=crowd, area=shares.tolist()))
        rows = []
        for _ in range(random.integers(0, most)):
            source = random.integers(0, len(boxes)) if len(boxes) and random.random() < 0.7 else None
            box = random.integers(0, 1200, 4) / 4 if source is None else boxes[source].copy()
            box = box + random.integers(-4, 5, 4) / 4 if source is not None else box
            box[2:] = np.maximum(box[2:], box[:2] + 1)
            label = int(random.integers(0, classes) if source is None else labels[source])
            rows.append((box.tolist(), label, random.integers(1, 30) / 32))  # many equal scores
        found.append(detections(*rows))
    return split(truth, classes, **options), found


def coco_json(files: DetectionFiles, seed: int = 0) -> dict:
    """An annotation file with images and annotations in any order, gapped ids and crowds as RLE."""
    random = np.random.default_rng(seed)
    annotations = []
    for image, truth in zip(files.ids, files.objects, strict=True):
        for index, (box, label) in enumerate(zip(truth.boxes.tolist(), truth.labels, strict=True)):
            left, top, right, bottom = box
            corners = [[left, top, right, top, right, bottom, left, bottom]]
            annotation = {
                "id": 1000 + 17 * len(annotations),
                "image_id": image,
                "category_id": files.category_ids[label],
                "bbox": [left, top, right - left, bottom - top],
                "area": float(truth.area[index]),
                "iscrowd": int(truth.crowd[index]),
                "segmentation": {"size": [400, 400], "counts": [80000, 80000]} if truth.crowd[index] else corners,
            }
            annotations.append(annotation)
    images = [{"id": image, "width": 400, "height": 400} for image in files.ids]
    categories = [{"id": i, "name": n} for i, n in zip(files.category_ids, files.names, strict=True)]
    random.shuffle(images)
    random.shuffle(categories)
    return {"images": images, "annotations": annotations, "categories": categories}


def pycocotools_stats(annotations: Path, results: Path) -> np.ndarray:
    """What anybody gets who calls pycocotools on two files."""
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    with contextlib.redirect_stdout(io.StringIO()):
        truth = COCO(str(annotations))
        evaluator = COCOeval(truth, truth.loadRes(str(results)), "bbox")
        evaluator.evaluate()
        evaluator.accumulate()
        evaluator.summarize()
    return evaluator.stats


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("kind", ["gapped", "text"])
def test_twelve_numbers_are_pycocotools_own_on_files(tmp_path, backend, seed, kind):
    order = np.random.default_rng(seed).permutation(12)
    ids = [int(index) * 31 if kind == "gapped" else f"image {index}" for index in order]
    files, found = random_split(seed, ids=ids, category_ids=[90, 0, 13, 7, 44])
    (tmp_path / "truth.json").write_text(json.dumps(coco_json(files, seed)))
    write_results(tmp_path / "results.json", files, found)
    expected = pycocotools_stats(tmp_path / "truth.json", tmp_path / "results.json")
    assert len(np.unique(expected)) > 8
    assert coco_scores(files, found, backend).stats == pytest.approx(expected, abs=1e-12)


@pytest.mark.skipif(not COCO_MINI.is_dir(), reason="shared/data/coco_mini is not here")
@pytest.mark.parametrize("backend", BACKENDS)
def test_twelve_numbers_on_real_annotations(tmp_path, backend):
    path = COCO_MINI / "annotations" / "instances_val2017.json"
    content = json.loads(path.read_text())
    category_ids = [category["id"] for category in content["categories"]]
    random, truth, found = np.random.default_rng(0), [], []
    for image in content["images"]:
        own = [one for one in content["annotations"] if one["image_id"] == image["id"]]
        boxes = np.array([one["bbox"] for one in own], dtype=np.float64).reshape(-1, 4)
        sizes, labels = np.tile(boxes[:, 2:], 2), [category_ids.index(one["category_id"]) for one in own]
        boxes[:, 2:] += boxes[:, :2]
        crowd = tuple(index for index, one in enumerate(own) if one["iscrowd"])
        rows = zip(boxes.tolist(), labels, strict=True)
        truth.append(objects(*rows, crowd=crowd, area=[one["area"] for one in own]))
        near = [boxes + random.normal(0, spread, boxes.shape) * sizes for spread in (0.02, 0.1)]
        rows = [(box, label, random.random()) for moved in near for box, label in zip(moved, labels, strict=True)]
        found.append(detections(*((np.maximum(box, [0, 0, *box[:2] + 1]).tolist(), *rest) for box, *rest in rows)))
    files = split(truth, len(category_ids), [image["id"] for image in content["images"]], category_ids)
    assert sum(part.crowd.sum() for part in truth) > 0
    write_results(tmp_path / "results.json", files, found)
    expected = pycocotools_stats(path, tmp_path / "results.json")
    assert 0.1 < expected[0] < 0.9
    assert coco_scores(files, found, backend).stats == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize("seed", range(6))
def test_backends_agree(seed):
    files, found = random_split(100 + seed, images=8, classes=3, most=250 if seed < 2 else 30)
    one, other = (coco_scores(files, found, backend) for backend in BACKENDS)
    for name in ("stats", "ap", "ap50", "precision50"):
        assert getattr(one, name) == pytest.approx(getattr(other, name), abs=1e-9, nan_ok=True)


@pytest.mark.parametrize("backend", BACKENDS)
def test_parts_fit_the_whole(backend):
    files, found = random_split(3)
    scores = coco_scores(files, found, backend)
    assert scores.stats.shape == (12,) and len(STATS) == 12 and scores.stats.dtype == np.float64
    assert np.isnan(scores.ap).tolist() == np.isnan(scores.ap50).tolist() == [False] * 4 + [True]
    assert np.nanmean(scores.ap) == pytest.approx(scores.stats[STATS.index("AP")])
    assert np.nanmean(scores.ap50) == pytest.approx(scores.stats[STATS.index("AP50")])
    assert scores.precision50.shape == (5, 101)
    assert scores.precision50.mean(1) == pytest.approx(scores.ap50, nan_ok=True)
    recall, precision = scores.curves[2]
    assert recall[[0, 50, 100]].tolist() == [0, 0.5, 1] and np.array_equal(precision, scores.precision50[2])


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_perfect_detector_scores_one(backend):
    files, _ = random_split(5)
    found = [
        detections(*((box, label, 0.9) for box, label in zip(truth.boxes.tolist(), truth.labels.tolist(), strict=True)))
        for truth in files.objects
    ]
    scores = coco_scores(files, found, backend)
    assert scores.stats[:3] == pytest.approx(1) and scores.ap[:4] == pytest.approx(1)
    assert scores.stats[STATS.index("AR100")] == pytest.approx(1)


@pytest.mark.parametrize("backend", BACKENDS)
def test_no_detections_score_zero(backend):
    files = split([objects(([0, 0, 50, 50], 0)), objects()], classes=2)
    scores = coco_scores(files, [detections(), detections()], backend)
    assert scores.stats.tolist() == [0, 0, 0, -1, 0, -1, 0, 0, 0, -1, 0, -1]
    assert scores.ap50[0] == 0 and np.isnan(scores.ap50[1])


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_split_without_objects_scores_nothing(backend):
    scores = coco_scores(split([objects()]), [detections(([0, 0, 9, 9], 0, 0.5))], backend)
    assert (scores.stats == -1).all() and np.isnan(scores.ap).all()


@pytest.mark.parametrize("backend", BACKENDS)
def test_difficult_objects_count_for_coco_and_crowds_do_not(backend):
    rows = (([0, 0, 50, 50], 0), ([100, 100, 200, 200], 0))
    found = [detections(([0, 0, 50, 50], 0, 0.9), ([100, 100, 150, 200], 0, 0.95))]
    difficult = coco_scores(split([objects(*rows, difficult=(1,))]), found, backend)
    # the wrong one is first: precision 1/2 at recall 1/2, which covers 51 of the 101 recalls
    assert difficult.stats[STATS.index("AP75")] == pytest.approx(0.5 * 51 / 101)
    crowd = coco_scores(split([objects(*rows, crowd=(1,))]), found, backend)
    assert crowd.stats[STATS.index("AP75")] == pytest.approx(1)


def test_unknown_backend_names_the_nearest():
    with pytest.raises(ValueError, match='no backend "pycoco"; did you mean "pycocotools"'):
        coco_scores(split([objects()]), [detections()], "pycoco")
    with pytest.raises(ValueError, match="there are pycocotools, faster"):
        coco_scores(split([objects()]), [detections()], "xyz")


def test_a_backend_that_is_not_installed_is_one_line(monkeypatch):
    monkeypatch.setitem(sys.modules, "faster_coco_eval", None)
    with pytest.raises(ValueError, match="pip install faster-coco-eval"):
        coco_scores(split([objects()]), [detections()], "faster")


@pytest.mark.parametrize("evaluate", [coco_scores, voc_average_precision])
def test_detections_of_another_split_are_refused(evaluate):
    with pytest.raises(ValueError, match="of 2 images cannot be evaluated on a split of 1"):
        evaluate(split([objects()]), [detections(), detections()])


@pytest.mark.parametrize("backend", BACKENDS)
def test_backends_keep_silent(backend, capfd):
    files, found = random_split(1)
    coco_scores(files, found, backend)
    assert capfd.readouterr() == ("", "")


SQUARE = [0, 0, 10, 10]
FAR = [100, 100, 110, 110]


def voc(truth: list[Objects], found: list[Detections], **options) -> float:
    return voc_average_precision(split(truth), found, **options).map


def test_voc_by_hand():
    truth = [objects((SQUARE, 0), ([20, 0, 30, 10], 0)), objects((SQUARE, 0))]
    found = [detections((SQUARE, 0, 0.9), (SQUARE, 0, 0.8)), detections((SQUARE, 0, 0.6))]
    # right, wrong (found before), right: precision 1, 1/2, 2/3 at recall 1/3, 1/3, 2/3
    scores = voc_average_precision(split(truth), found)
    assert scores.curves[0][0] == pytest.approx([1 / 3, 1 / 3, 2 / 3])
    assert scores.curves[0][1] == pytest.approx([1, 1 / 2, 2 / 3])
    assert scores.ap == pytest.approx([1 / 3 * 1 + 1 / 3 * 2 / 3])
    # recall 0, .1, .2, .3 are reached at precision 1, and .4, .5, .6 at 2/3
    assert voc(truth, found, eleven_point=True) == pytest.approx((4 * 1 + 3 * 2 / 3) / 11)


def test_voc_overlap_must_be_above_the_threshold():
    half = [detections(([0, 0, 10, 5], 0, 0.9))]  # 50 of 100 pixels
    assert voc([objects((SQUARE, 0))], half) == 0
    assert voc([objects((SQUARE, 0))], half, iou=0.499) == 1
    with pytest.raises(ValueError, match="iou is 50"):
        voc([objects((SQUARE, 0))], half, iou=50)


def test_voc_ignores_difficult_objects_found_once_or_twice():
    truth = [objects((SQUARE, 0), (FAR, 0), difficult=(0,))]
    found = [detections((SQUARE, 0, 0.9), (SQUARE, 0, 0.8), (FAR, 0, 0.7))]
    scores = voc_average_precision(split(truth), found)
    assert scores.ap == pytest.approx([1]) and len(scores.curves[0][0]) == 1
    assert voc([objects((SQUARE, 0), (FAR, 0), crowd=(0,))], found) == 1


def test_voc_takes_the_largest_overlap_even_if_it_is_taken():
    truth = [objects((SQUARE, 0), ([0, 0, 10, 9], 0))]
    found = [detections((SQUARE, 0, 0.9), (SQUARE, 0, 0.8))]
    assert voc(truth, found) == pytest.approx(1 / 2)  # right, wrong, although it covers 9/10 of the other


def test_voc_equal_scores_go_in_the_order_of_the_split():
    one, other = (objects((SQUARE, 0)), detections((SQUARE, 0, 0.5))), (objects(), detections((SQUARE, 0, 0.5)))
    assert voc(*map(list, zip(one, other, strict=True))) == 1
    assert voc(*map(list, zip(other, one, strict=True))) == 1 / 2


def test_voc_recall_of_three_tenths_is_below_the_level_as_in_the_kits_python_copies():
    truth = [objects(*(([20 * index, 0, 20 * index + 10, 10], 0) for index in range(10)))]
    found = [detections(*(([20 * index, 0, 20 * index + 10, 10], 0, 0.9) for index in range(3)))]
    assert voc(truth, found, eleven_point=True) == pytest.approx(3 / 11)  # 0, .1 and .2; 3 * 0.1 is above 0.3
    assert voc(truth, found) == pytest.approx(3 / 10)


def test_voc_classes_without_positives_are_left_out():
    truth = [objects((SQUARE, 0), (FAR, 1), difficult=(1,)), objects()]
    scores = voc_average_precision(split(truth, classes=3), [detections((SQUARE, 0, 0.9), (FAR, 2, 0.5)), detections()])
    assert scores.ap[0] == 1 and np.isnan(scores.ap[1:]).all() and scores.map == 1
    assert [len(curve[0]) for curve in scores.curves] == [1, 0, 1]
    assert np.isnan(voc([objects()], [detections((SQUARE, 0, 0.9))]))
    assert voc([objects((SQUARE, 0))], [detections()]) == 0


def devkit_average_precision(truth: list, found: list, label: int, iou: Fraction, eleven_point: bool) -> float:
    """The published rule in whole numbers: boxes are (xmin, ymin, xmax, ymax), 1-based and inclusive."""
    positives = sum(one["label"] == label and not one["difficult"] for image in truth for one in image)
    if not positives:
        return float("nan")
    ranked = [(score, image, box) for image, rows in enumerate(found) for box, own, score in rows if own == label]
    ranked.sort(key=lambda row: -row[0])
    taken, points, right, wrong = set(), [], 0, 0
    for _, image, box in ranked:
        best, most = None, Fraction(-1)
        for number, one in enumerate(truth[image]):
            if one["label"] != label:
                continue
            other = one["box"]
            across = min(box[2], other[2]) - max(box[0], other[0]) + 1
            down = min(box[3], other[3]) - max(box[1], other[1]) + 1
            shared = across * down if across > 0 and down > 0 else 0
            pixels = sum((b[2] - b[0] + 1) * (b[3] - b[1] + 1) for b in (box, other))
            if Fraction(shared, pixels - shared) > most:
                best, most = (image, number), Fraction(shared, pixels - shared)
        if most > iou and truth[image][best[1]]["difficult"]:
            continue
        if most > iou and best not in taken:
            taken.add(best)
            right += 1
        else:
            wrong += 1
        points.append((Fraction(right, positives), Fraction(right, right + wrong)))
    if eleven_point:
        thresholds = np.arange(0.0, 1.1, 0.1)  # as voc_eval.py, the copy in Python, has it
        levels = [max((p for r, p in points if float(r) >= level), default=0) for level in thresholds]
        return float(sum(levels, Fraction(0)) / 11)
    total, reached = Fraction(0), Fraction(0)
    for index, (recall, _) in enumerate(points):
        total += (recall - reached) * max(p for _, p in points[index:])
        reached = recall
    return float(total)


@pytest.mark.parametrize("eleven_point", [False, True])
@pytest.mark.parametrize("seed", range(60))
def test_voc_is_the_devkits_rule(seed, eleven_point):
    random = np.random.default_rng(seed)
    iou, classes = [Fraction(1, 2), Fraction(1, 3), Fraction(7, 10)][seed % 3], 3

    def boxes(count: int) -> list[list[int]]:
        start = random.integers(1, 6, (count, 2))
        return np.concatenate([start, start + random.integers(0, 8, (count, 2))], axis=1).tolist()

    truth, found = [], []
    for _ in range(random.integers(1, 8)):
        rows = boxes(random.integers(0, 5))
        truth.append(
            [
                {"box": box, "label": int(random.integers(0, classes)), "difficult": bool(random.random() < 0.25)}
                for box in rows
            ]
        )
        rows += boxes(random.integers(0, 6)) + rows[:1]
        rows = [(box, int(random.integers(0, classes)), int(random.integers(1, 5)) / 4) for box in rows]
        found.append(sorted(rows, key=lambda row: -row[2]))
    ours = [
        objects(
            *(([one["box"][0] - 1, one["box"][1] - 1, *one["box"][2:]], one["label"]) for one in image),
            difficult=tuple(index for index, one in enumerate(image) if one["difficult"]),
        )
        for image in truth
    ]
    evaluated = [
        detections(*(([b[0] - 1, b[1] - 1, *b[2:]], label, score) for b, label, score in rows)) for rows in found
    ]
    scores = voc_average_precision(split(ours, classes), evaluated, float(iou), eleven_point)
    expected = [devkit_average_precision(truth, found, label, iou, eleven_point) for label in range(classes)]
    assert scores.ap == pytest.approx(expected, abs=1e-12, nan_ok=True)
