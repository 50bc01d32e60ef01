"""Ids of boxes over frames, their count, and a film with both."""

import json

import cv2
import numpy as np
import pytest
import torch

from backbones import create_table
from tasks import DetectionSpec, DetectionTask
from tasks.detection.detections import Detections
from tasks.detection.drawing import show_boxes
from tasks.detection.tracking import CONFIRMED, KEPT, Tracker
from tasks.joint.drawing import show_joint
from tasks.joint.network import JointSpec
from tasks.joint.task import JointTask
from tasks.options import Prediction
from tasks.video_prediction import Unchanged, predict_video

NAMES = ["cat", "dog"]


def found(*rows: tuple[float, ...]) -> Detections:
    """Detections of a frame, of (x of the centre, y, score, label), 20 wide and 30 high."""
    table = np.array(sorted(rows, key=lambda row: -row[2]), dtype=np.float32).reshape(-1, 4)
    corners = np.concatenate([table[:, :2] - (10, 15), table[:, :2] + (10, 15)], axis=1, dtype=np.float32)
    return Detections(corners, table[:, 2], table[:, 3].astype(np.int64))


def follow(frames: list[Detections], tracker: Tracker | None = None) -> list[dict[float, int | None]]:
    """The id at each box's height (y of its centre), in every frame."""
    tracker, seen = tracker or Tracker(0.3), []
    for frame in frames:
        ids = [track and track.id for track in tracker.update(frame)]
        seen.append(dict(zip((round(float(y)) for y in (frame.boxes[:, 1] + frame.boxes[:, 3]) / 2), ids, strict=True)))
    return seen


def ids_at(frames: list[dict[float, int | None]], height: int) -> list[int | None]:
    return [frame.get(height) for frame in frames]


def test_a_track_has_an_id_from_its_third_frame_on_and_then_counts():
    tracker = Tracker(0.3)
    seen = follow([found((50 + 2 * t, 40, 0.9, 0)) for t in range(5)], tracker)
    assert ids_at(seen, 40) == [None, None, 1, 1, 1] and CONFIRMED == 3
    assert tracker.counts == {0: 1}


def test_what_is_seen_in_two_frames_does_not_count():
    tracker = Tracker(0.3)
    seen = follow([found((50, 40, 0.9, 0))] * 2 + [found()] + [found((50, 40, 0.9, 0))] * 2, tracker)
    assert set(ids_at(seen, 40)) == {None} and not tracker.counts


def test_boxes_that_cross_keep_their_ids():
    """Side by side at one height but for a pixel, each in the other's place 20 frames later."""
    frames = [found((40 + 5 * t, 40, 0.9, 0), (140 - 5 * t, 41, 0.8, 0)) for t in range(21)]
    seen = follow(frames)
    assert ids_at(seen, 40)[3:] == [1] * 18 and ids_at(seen, 41)[3:] == [2] * 18


def test_of_boxes_that_overlap_the_sum_of_overlaps_decides():
    """One by one, the first track would take the second one's box."""
    start = [found((50, 40, 0.9, 0), (62, 41, 0.8, 0))] * 3
    seen = follow([*start, found((57, 40, 0.9, 0), (69, 41, 0.8, 0))])
    assert seen[-1] == {40: 1, 41: 2}


@pytest.mark.parametrize("speed", [0, 3])
def test_an_id_outlives_some_frames_out_of_sight(speed):
    """The box comes back where it would be by then; without motion it would overlap nothing."""
    frames = [found((50 + speed * t, 40, 0.9, 0)) if not 20 <= t < 30 else found() for t in range(40)]
    tracker = Tracker(0.3)
    assert ids_at(follow(frames, tracker), 40)[30:] == [1] * 10 and tracker.counts == {0: 1}


@pytest.mark.parametrize("absent, new", [(KEPT, 1), (KEPT + 1, 2)])
def test_after_a_long_absence_the_id_is_a_new_one(absent, new):
    here = [found((50, 40, 0.9, 0))] * 4
    tracker = Tracker(0.3)
    assert ids_at(follow([*here, *[found()] * absent, *here], tracker), 40)[-1] == new
    assert tracker.counts == {0: new}


def test_a_low_score_keeps_a_track_but_begins_none():
    tracker = Tracker(0.3)
    frames = [found((50, 40, 0.9 if t < 3 else 0.15, 0), (90, 80, 0.15, 0)) for t in range(50)]
    seen = follow([*frames, found((50, 40, 0.9, 0))], tracker)
    assert ids_at(seen, 40)[2:] == [1] * 49 and set(ids_at(seen, 80)) == {None}
    assert tracker.counts == {0: 1} and tracker.low == 0.1


def test_a_low_score_does_not_bring_a_track_back():
    seen = follow([*[found((50, 40, 0.9, 0))] * 3, found(), found((50, 40, 0.2, 0)), found((50, 40, 0.9, 0))])
    assert ids_at(seen, 40)[3:] == [None, None, 1]


def test_a_jump_while_out_of_sight_is_no_speed():
    """Eight pixels in 16 frames, and out of sight again."""
    start, end, none = [found((50, 40, 0.9, 0))] * 3, [found((58, 40, 0.9, 0))], [found()]
    assert ids_at(follow([*start, *none * 15, *end, *none * 15, *end]), 40)[-1] == 1


def test_a_sure_box_is_taken_before_a_nearer_low_one():
    start = [found((50, 40, 0.9, 0))] * 3
    assert follow([*start, found((50, 40, 0.2, 0), (54, 41, 0.9, 0))])[-1] == {40: None, 41: 1}


def test_a_low_threshold_leaves_no_low_boxes():
    tracker = Tracker(0.05)
    seen = follow([found((50, 40, 0.07, 0))] * 3, tracker)
    assert ids_at(seen, 40)[-1] == 1 and tracker.low == 0.05


def test_a_box_of_another_class_is_another_track():
    tracker = Tracker(0.3)
    seen = follow([found((50, 40, 0.9, 0))] * 4 + [found((50, 40, 0.9, 1))] * 4, tracker)
    assert ids_at(seen, 40) == [None, None, 1, 1, None, None, 2, 2]
    assert tracker.counts == {0: 1, 1: 1}


def test_no_boxes_at_all():
    tracker = Tracker(0.3, keep=True)
    assert follow([found()] * 3, tracker) == [{}] * 3
    assert tracker.summary(NAMES) == {"counts": {}, "boxes": []}


def test_the_summary_has_every_frame_of_what_counts_and_nothing_else():
    tracker = Tracker(0.3, keep=True)
    follow([found((50, 40, 0.9, 1), *[(90, 80, 0.8, 0)] * (t == 2)) for t in range(4)], tracker)
    summary = tracker.summary(NAMES)
    assert summary["counts"] == {"dog": 1}
    assert [(box["frame"], box["id"], box["class"]) for box in summary["boxes"]] == [(t, 1, "dog") for t in range(4)]
    assert summary["boxes"][0]["box"] == [40, 25, 60, 55] and summary["boxes"][0]["score"] == pytest.approx(0.9)


def test_noisy_boxes_of_many_objects_are_few_tracks_and_the_same_each_time():
    """Twelve objects that move, jitter, fall below the threshold and are missed in one frame of ten."""
    random = np.random.default_rng(0)
    start, velocity = random.uniform(100, 900, (12, 2)), random.uniform(-1.5, 1.5, (12, 2))
    frames = []
    for t in range(120):
        places = start + velocity * t + random.normal(0, 1, (12, 2))
        seen = random.random(12) > 0.1
        frames.append(found(*[(*places[k], random.uniform(0.15, 1), k % 2) for k in range(12) if seen[k]]))
    trackers = [Tracker(0.3, keep=True) for _ in range(2)]
    for tracker in trackers:
        follow(frames, tracker)
    assert trackers[0].summary(NAMES) == trackers[1].summary(NAMES)
    assert trackers[0].counts == {0: 6, 1: 6}


# in a film


class Moving:
    """A detector of a film in whose frames the upper left pixel says which one it is."""

    spec = DetectionSpec(create_table("v3-small"), "ssdlite", NAMES, [(250, 0, 0), (0, 0, 250)], (64, 64))

    def predict(self, images, score_threshold):
        at = float(images[0][0, 0, 0])
        every = found((30 + at, 40, 0.9, 0), (80, 80, 0.9 if at < 8 else 0.2, 1))
        kept = every.scores > score_threshold
        return [Detections(every.boxes[kept], every.scores[kept], every.labels[kept])]


def film(path, still: tuple[int, int] = (8, 16), frames: int = 24) -> None:
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"FFV1"), 10, (160, 120))
    for number in range(frames):
        at = number if number < still[0] else max(still[0], number - (still[1] - still[0]))
        writer.write(np.full((120, 160, 3), at, dtype=np.uint8))
    writer.release()


def test_a_film_is_the_same_where_unchanged_frames_are_not_predicted_again(tmp_path):
    film(tmp_path / "a.avi")
    options, skipping = Prediction(track=True, json=True), Unchanged(Moving())
    made = [
        predict_video(tmp_path / "a.avi", tmp_path / str(at), show_boxes(predictor, options), None, True)
        for at, predictor in enumerate([Moving(), skipping])
    ]
    assert skipping.skipped == 8 and made[0].frames == 24 and made[0].tracks == made[1].tracks
    for name in ("a_boxes.mp4", "a_tracks.json"):
        assert (tmp_path / "0" / name).read_bytes() == (tmp_path / "1" / name).read_bytes()
    content = json.loads((tmp_path / "1" / "a_tracks.json").read_text())
    assert content["counts"] == {"cat": 1, "dog": 1} and content["frames"] == 24 and len(content["boxes"]) == 48
    assert content["file"] == str(tmp_path / "a.avi")


def test_ids_and_counts_are_drawn_and_unsure_boxes_are_not():
    show = show_boxes(Moving(), Prediction(track=True))
    plain = show_boxes(Moving(), Prediction())
    frames = [np.full((120, 160, 3), at, dtype=np.uint8) for at in range(10)]
    drawn = [(show(frame.copy()).drawing, plain(frame.copy()).drawing) for frame in frames]
    own, ordinary = drawn[0]
    assert (own == ordinary).all()  # nothing is confirmed yet
    own, ordinary = drawn[5]
    assert (own[94, 80] != ordinary[94, 80]).any() and (own[-8:, -30:] == 60).all(2).any()
    own, ordinary = drawn[9]
    assert (own[94, 80] == 9).all() and (ordinary[94, 80] == 9).all()


@pytest.mark.parametrize("make", ["detection", "joint"])
def test_networks_draw_the_same_boxes_with_and_without_tracks(make):
    """Asking for unsure boxes, too, changes nothing for those that are drawn."""
    torch.manual_seed(0)
    table, colours = create_table("v3-small", width=0.25), [(0, 0, 0), (250, 0, 0)]
    if make == "joint":
        spec = JointSpec(table, "lraspp+ssdlite", NAMES, colours, (64, 64), box_names=NAMES, box_colours=colours)
        task, make_show = JointTask(spec), show_joint
    else:
        task = DetectionTask(DetectionSpec(table, "ssdlite", NAMES, colours, (64, 64)))
        make_show = show_boxes
    image = np.random.default_rng(0).integers(0, 256, (90, 120, 3), dtype=np.uint8)
    (boxes,) = task.eval().predict([image]) if make == "detection" else [task.eval().predict([image])[0].boxes]
    options = {"score_threshold": float(boxes.scores[3]), "max_drawn": 5}
    plain = make_show(task, Prediction(**options))(image.copy())
    tracked = make_show(task, Prediction(**options, track=True))(image.copy())
    assert len(tracked.description["objects"]) > len(plain.description["objects"]) == 3
    assert (plain.drawing == tracked.drawing).all() and plain.kind == tracked.kind


def test_the_tool_tells_in_single_lines(tmp_path, tool_here):
    table, colours = create_table("v3-small", width=0.25), [(0, 0, 0), (250, 0, 0)]
    task = DetectionTask(DetectionSpec(table, "ssdlite", NAMES, colours, (64, 64)))
    torch.save({"state_dict": task.state_dict(), "mobiledense": task.describe()}, tmp_path / "det.ckpt")
    film(tmp_path / "a.avi", (0, 24))
    checkpoint = ["--checkpoint", str(tmp_path / "det.ckpt"), "--output", str(tmp_path / "out")]
    line = [*checkpoint, "--source", str(tmp_path / "a.avi"), "--runtime", "torch"]
    said = tool_here("predict", *line, "--track", "true", "--json", "true", "--score-threshold", "0.99")
    out = tmp_path / "out" / "a_boxes.mp4"
    assert said.split("\n")[-3:] == [
        f"wrote {out}, 24 frames, 23 of them unchanged and not predicted again",
        "tracked nothing",
        "",
    ]
    assert json.loads((tmp_path / "out" / "a_tracks.json").read_text())["boxes"] == []
    said = tool_here("predict", *line, "--json", "true", succeeds=False)
    assert "--json of a video or webcam needs --track" in said
    cv2.imwrite(str(tmp_path / "a.png"), np.zeros((8, 8, 3), dtype=np.uint8))
    still = [*checkpoint, "--source", str(tmp_path / "a.png"), "--track", "true"]
    assert "--track is for a video or webcam that a detector" in tool_here("predict", *still, succeeds=False)
