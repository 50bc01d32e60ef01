"""What MediaPipe's ObjectDetector expects of a network, and back from that to what the rest of this package reads."""

from typing import Any

import torch
from numpy.typing import NDArray
from torch import Tensor

from heads.anchors import CODING, decode_boxes
from heads.decoding import class_scores, decode_fixed

YXHW = (1, 0, 3, 2)  # the order of MediaPipe's y, x, height, width among our x, y, width, height; of corners likewise
LEAST_SIDE = 1e-6  # of a box, in shares of the image, so that it has a logarithm
# plain operators look at so many (anchor, class) pairs, and keep what these say
CANDIDATES = 300
PLAIN_THRESHOLDS = {"score": 0.001, "iou": 0.55, "max_detections": 100}


def detector_outputs(kind: str, logits: Tensor, offsets: Tensor, anchors: Tensor, sigmoid: bool) -> tuple[Tensor, ...]:
    """The outputs of a detector for `--target mediapipe`.

    Args:
        kind: "boxes", "plain" or "raw", see `deploy.graph.MEDIAPIPE_OUTPUTS`.
        logits: float32 [1, A, K + 1], background first.
        offsets: float32 [1, A, 4].
        anchors: float32 [A, 4].
        sigmoid: see `heads.decoding.class_scores`.

    Returns:
        For boxes what `deploy.litert_postprocess` puts its operator behind: boxes [1, A, 4] as
        `whole_image_offsets` has them, and scores [1, A, K]. For the others the outputs themselves.
    """
    if kind == "plain":
        pairs = len(anchors) * (logits.shape[2] - 1)
        topk = min(CANDIDATES, pairs)
        most = min(int(PLAIN_THRESHOLDS["max_detections"]), topk)
        score, iou = PLAIN_THRESHOLDS["score"], PLAIN_THRESHOLDS["iou"]
        found = decode_fixed(logits, offsets, anchors, sigmoid, score, iou, most, topk)
        return _reordered(found.boxes), found.labels.float(), found.scores, found.counts.float()
    scores = class_scores(logits, sigmoid)
    if kind == "raw":
        return _reordered(offsets), scores
    return whole_image_offsets(decode_boxes(offsets, anchors).clamp(0, 1)), scores


def whole_image_offsets(boxes: Tensor) -> Tensor:
    """Corners as offsets from an anchor that is the whole image.

    The operator of LiteRT decodes boxes itself, and never clips them, so that a box over the image's edge would be
    suppressed by others than in training. With this anchor for all of them it decodes to the boxes given here.

    Args:
        boxes: float32 [1, A, 4], x1, y1, x2, y2 in shares of the image, within it.

    Returns:
        float32 [1, A, 4], offsets of y, x, height and width, scaled.
    """
    sides = (boxes[..., 2:] - boxes[..., :2]).clamp(min=LEAST_SIDE)
    centre = (boxes[..., 2:] + boxes[..., :2]) / 2 - 0.5
    return _reordered(torch.cat([centre, sides.log()], dim=-1) * boxes.new_tensor(CODING))


def _reordered(rows: Tensor) -> Tensor:
    return torch.stack([rows[..., place] for place in YXHW], dim=-1)


def own_outputs(found: dict[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
    """Outputs of a detector for MediaPipe, without the batch's dimension, in the names and order of the other formats.

    Args:
        found: location [n, 4], category [n], score [n] and count []; or location [A, 4] and score [A, K].

    Returns:
        boxes, classes, scores and count; or offsets and scores.
    """
    location = found["location"][:, YXHW]
    if "count" not in found:
        return {"offsets": location, "scores": found["score"]}
    named = {"classes": found["category"], "scores": found["score"], "count": found["count"]}
    return {"boxes": location.clip(0, 1), **named}
