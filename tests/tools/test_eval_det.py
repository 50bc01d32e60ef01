import json
import shutil

import cv2
import numpy as np
import pytest

from datasets import find_detection, read_image
from tasks import DetectionTask
from tasks.detection.detections import Detections, read_results, write_results
from tasks.detection.metrics import STATS, coco_scores, voc_average_precision


@pytest.fixture(scope="module")
def annotations(shapes):
    return shapes / "annotations" / "instances_val.json"


@pytest.fixture(scope="module")
def guesses(shapes, tmp_path_factory):
    """COCO results of which some are right, some too loose and some of another class."""
    random = np.random.default_rng(0)
    files = find_detection("coco", "val", shapes)
    detections = []
    for objects in files.objects:
        boxes = np.repeat(objects.boxes, 3, axis=0) + random.normal(0, 3, (3 * len(objects), 4))
        scores = -np.sort(-random.random(len(boxes)))
        labels = np.where(random.random(len(boxes)) < 0.7, objects.labels.repeat(3), 0)
        detections.append(Detections(boxes.astype(np.float32), scores.astype(np.float32), labels))
    path = tmp_path_factory.mktemp("results") / "results.json"
    write_results(path, files, detections)
    return path


def scores(folder) -> dict:
    return json.loads((folder / "scores.json").read_text())


def test_anybodys_results_are_evaluated(tool_here, guesses, annotations, shapes, tmp_path):
    options = ["--predictions", str(guesses), "--annotations", str(annotations), "--data-root", str(shapes)]
    said = tool_here("eval_det", *options, "--output", str(tmp_path / "eval"))
    files = find_detection("coco", "val", shapes)
    expected = coco_scores(files, read_results(guesses, files))
    found = scores(tmp_path / "eval")
    assert found["coco"] == dict(zip(STATS, expected.stats.tolist(), strict=True))
    assert 0.1 < found["coco"]["AP"] < found["coco"]["AP50"] < 0.95
    voc = voc_average_precision(files, read_results(guesses, files))
    assert found["voc"]["VOC AP50"] == voc.map
    assert found["classes"]["star"] == pytest.approx(
        {
            "AP": expected.ap[3],
            "AP50": expected.ap50[3],
            "AP75": expected.ap75[3],
            "VOC AP50": voc.ap[3],
            "VOC AP75": voc_average_precision(files, read_results(guesses, files), iou=0.75).ap[3],
            "VOC07 AP50": voc_average_precision(files, read_results(guesses, files), eleven_point=True).ap[3],
        }
    )
    assert f"COCO: AP {100 * expected.stats[0]:.2f}, AP50 {100 * expected.stats[1]:.2f}, " in said
    there = {path.name for path in (tmp_path / "eval").iterdir()}
    assert there == {"scores.json", "results.json", "precision_recall.png", "threshold.png", "samples.png"}


def test_the_faster_backend_gives_the_same_numbers(tool_here, guesses, annotations, tmp_path):
    numbers = []
    for backend in ("pycocotools", "faster"):
        options = ["--predictions", str(guesses), "--annotations", str(annotations), "--backend", backend]
        tool_here("eval_det", *options, "--output", str(tmp_path / backend))
        found = scores(tmp_path / backend)
        assert found["backend"] == backend
        numbers.append([*found["coco"].values(), *(entry["AP"] for entry in found["classes"].values())])
    assert numbers[0] == pytest.approx(numbers[1], abs=1e-9)


def test_images_are_not_needed_to_evaluate_results(tool_here, guesses, annotations, tmp_path):
    alone = tmp_path / "instances.json"
    shutil.copy(annotations, alone)
    shutil.copy(guesses, tmp_path / "guesses.json")
    tool_here("eval_det", "--predictions", str(tmp_path / "guesses.json"), "--annotations", str(alone))
    folder = tmp_path / "eval_instances"  # beside the results
    assert scores(folder)["coco"]["AP"] > 0.1
    assert not (folder / "samples.png").exists()


def test_images_are_found_beside_the_json_of_a_year(tool_here, guesses, annotations, tmp_path):
    tree = tmp_path / "coco"
    (tree / "annotations").mkdir(parents=True)
    shutil.copy(annotations, tree / "annotations" / "instances_val2017.json")
    shutil.copytree(annotations.parents[1] / "JPEGImages", tree / "val2017")
    shutil.copy(guesses, tmp_path / "guesses.json")
    options = ["--predictions", str(tmp_path / "guesses.json"), "--drawn", "2"]
    tool_here("eval_det", *options, "--annotations", str(tree / "annotations" / "instances_val2017.json"))
    assert (tmp_path / "eval_val2017" / "samples.png").is_file()


def test_a_checkpoints_results_evaluated_again_give_its_numbers(tool_here, detector, annotations, tmp_path):
    own = detector.parent / "eval_val"
    options = ["--predictions", str(own / "results.json"), "--annotations", str(annotations)]
    tool_here("eval_det", *options, "--output", str(tmp_path))
    again, first = scores(tmp_path), scores(own)
    assert all(again[key] == first[key] for key in ("coco", "voc", "classes"))
    assert first["coco"]["AR100"] > 0


def test_a_checkpoint_is_evaluated_on_a_split(detector, shapes, tmp_path, tool_here):
    moved = tmp_path / "best.ckpt"
    shutil.copy(detector, moved)
    options = ["--dataset", "coco", "--data-root", str(shapes), "--split", "test", "--workers", "0", "--drawn", "2"]
    said = tool_here("eval_det", "--checkpoint", str(moved), *options, "--max-images", "3", "--batch-size", "2")
    assert "VOC07 AP" in said and "COCO: AP " in said
    found = scores(tmp_path / "eval_test")
    assert (found["images"], found["split"], found["checkpoint"]) == (3, "test", str(moved))
    files = find_detection("coco", "test", shapes)
    results = json.loads((tmp_path / "eval_test" / "results.json").read_text())
    assert {entry["image_id"] for entry in results} == set(files.ids[:3])
    samples = cv2.imread(str(tmp_path / "eval_test" / "samples.png"))
    assert samples.shape[0] < 2 * max(image.shape[0] + 6 for image in map(read_image, files.image_paths)) + 26 + 52 + 1


@pytest.mark.parametrize("chosen", [[], ["checkpoint", "predictions"]])
def test_either_a_checkpoint_or_predictions(tool_here, detector, guesses, chosen):
    paths = {"checkpoint": detector, "predictions": guesses}
    options = [text for name in chosen for text in (f"--{name}", str(paths[name]))]
    assert "give either --checkpoint or --predictions" in tool_here("eval_det", *options, succeeds=False)


def test_classes_that_differ(tool_here, detector, annotations, shapes, tmp_path):
    other = tmp_path / "other.json"
    other.write_text(annotations.read_text().replace('"star"', '"comet"'))
    (tmp_path / "JPEGImages").symlink_to(shapes / "JPEGImages")
    options = ["--checkpoint", str(detector), "--annotations", str(other), "--output", str(tmp_path / "eval")]
    said = tool_here("eval_det", *options, succeeds=False)
    assert f"only in {detector}: star" in said and f"only in {tmp_path}: comet" in said
    assert not (tmp_path / "eval").exists()


def test_a_segmentation_checkpoint_has_no_boxes(tool_here, checkpoint, shapes):
    options = ["--checkpoint", str(checkpoint), "--dataset", "coco", "--data-root", str(shapes)]
    assert "for segmentation, not for detection" in tool_here("eval_det", *options, succeeds=False)


def test_faulty_annotations_are_not_evaluated_by(tool_here, guesses, annotations, tmp_path):
    content = json.loads(annotations.read_text())
    content["annotations"][0]["image_id"] = 999
    (tmp_path / "faulty.json").write_text(json.dumps(content))
    options = ["--predictions", str(guesses), "--annotations", str(tmp_path / "faulty.json")]
    said = tool_here("eval_det", *options, "--output", str(tmp_path / "eval"), succeeds=False)
    assert "1 annotation of unknown images: annotation 1 (image 999)" in said
    assert not (tmp_path / "eval").exists()


def test_predict_draws_the_boxes_above_the_threshold_and_writes_them(detector, shapes, tmp_path, tool_here):
    source = tmp_path / "in" / "deep"
    source.mkdir(parents=True)
    shutil.copy(next((shapes / "JPEGImages").glob("val*")), source / "a.jpg")
    task, image = DetectionTask.load(detector), read_image(source / "a.jpg")
    everything = task.predict([image])[0]
    gaps = everything.scores[4:30] - everything.scores[5:31]
    count = 5 + int(gaps.argmax())
    threshold = float(everything.scores[count - 1 : count + 1].mean())
    options = ["--checkpoint", str(detector), "--source", str(tmp_path / "in"), "--output", str(tmp_path / "out")]
    said = tool_here("predict", *options, "--json", "--score-threshold", str(threshold))
    assert "1 images" in said
    written = {str(path.relative_to(tmp_path / "out")) for path in (tmp_path / "out").rglob("*.*")}
    assert written == {"deep/a_boxes.png", "deep/a.json"}
    drawn = read_image(tmp_path / "out" / "deep" / "a_boxes.png")
    assert drawn.shape == image.shape and (drawn != image).any()
    content = json.loads((tmp_path / "out" / "deep" / "a.json").read_text())
    assert (content["height"], content["width"]) == image.shape[:2]
    objects = content["objects"]
    assert len(objects) == count
    assert [entry["class"] for entry in objects] == [task.spec.names[label] for label in everything.labels[:count]]
    assert np.allclose([entry["score"] for entry in objects], everything.scores[:count], atol=1e-4)
    assert np.allclose([entry["box"] for entry in objects], everything.boxes[:count], atol=0.1)


def test_predict_draws_boxes_into_a_video(tool_here, detector, tmp_path):
    film = cv2.VideoWriter(str(tmp_path / "film.avi"), cv2.VideoWriter.fourcc(*"MJPG"), 10, (96, 64))
    for frame in range(3):
        film.write(np.full((64, 96, 3), 80 * frame, dtype=np.uint8))
    film.release()
    options = ["--checkpoint", str(detector), "--source", str(tmp_path / "film.avi"), "--output", str(tmp_path / "out")]
    tool_here("predict", *options, "--max-frames", "2")
    capture = cv2.VideoCapture(str(tmp_path / "out" / "film_boxes.mp4"))
    assert [capture.read()[0] for _ in range(3)] == [True, True, False]
