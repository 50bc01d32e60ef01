"""Whether a file is as good as the checkpoint that it was made from, before it gets its name."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich.progress import track

from datasets import DataError
from deploy.calibration import Source, read
from deploy.export_options import Gate
from deploy.extras import DeployError
from tasks.commands import load_predictor, require_same
from tasks.detection.detections import Detections
from tasks.wing import Wing

LEAST = {"classification": 0.98, "segmentation": 0.98, "detection": 0.95}  # of what must agree
WHAT = {"classification": "images have the same class", "segmentation": "pixels have the same class"}
WHAT["detection"] = "boxes have their like"
SURE, LIKE, OVERLAP = 0.3, 0.15, 0.5  # score of boxes that must have their like; and its score and IoU


@dataclass(frozen=True)
class Result:
    """Of a file: whether it passed, and a line with the numbers."""

    passed: bool
    said: str


def evaluation_files(wing: Wing, gate: Gate, spec: Any) -> Any:
    """The split that a file is evaluated on, once all its files are read; None without --dataset.

    Args:
        wing: of the task.
        gate: says which.
        spec: of the network, whose classes it must have.

    Raises:
        DataError, TaskError: if it is missing, faulty, or of other classes.
    """
    if gate.dataset is None:
        return None
    found = wing.find_files(gate.dataset, [gate.split], gate.data_root, group_by=gate.group_by, classes=gate.classes)
    files = wing.limit_files(found[0], gate.max_images)
    require_same(spec, files, "the checkpoint", str(files.root))
    wing.check_files(files, read=True)
    return files


def compare_scores(wing: Wing, checkpoint: Path, file: Any, files: Any, max_drop: float) -> Result:
    """Score a checkpoint and a file as the evaluation tools do.

    Args:
        wing: of the task.
        checkpoint: at its images' own sizes, where it takes them so.
        file: made from it.
        files: of the split.
        max_drop: points that the file may lose.

    Raises:
        DeployError: if the split has nothing to score.
    """
    where = f"{files.root}, {files.split}, {len(wing.images(files)):,} images"
    before, after = (100 * wing.score(one, files, workers=0) for one in (load_predictor(checkpoint, "cpu"), file))
    if not math.isfinite(before):
        raise DeployError(f"{where}: there is nothing in it to score; give another --split")
    said = f"{wing.measure} {before:.2f} of the checkpoint, {after:.2f} of the file ({where}; --max-drop {max_drop:g})"
    return Result(before - after <= max_drop, said)


def compare_predictions(kind: str, plain: Any, file: Any, sources: Sequence[Source]) -> Result:
    """See how far a file predicts what the network in float does, where there are no labels.

    Args:
        kind: of the task.
        plain: the network in float.
        file: made from it.
        sources: images; those that cannot be read are left out.

    Raises:
        DeployError: if nothing can be compared.
    """
    kinds = ("segmentation", "detection") if kind == "joint" else (kind,)
    counts = np.zeros((len(kinds), 2), dtype=np.int64)
    for source in track(sources, "Comparing with float", transient=True):
        try:
            image = read(source)
        except DataError:
            continue
        found = plain.predict([image])[0], file.predict([image])[0]
        pairs = zip(*found, strict=True) if kind == "joint" else [found]
        counts += [_agreement(*one) for one in zip(kinds, *zip(*pairs, strict=True), strict=True)]
    if not counts[:, 1].all():
        raise DeployError(f"nothing is found in {len(sources)} images to compare the file on; give --dataset")
    shares = {one: same / total for one, (same, total) in zip(kinds, counts.tolist(), strict=True)}
    told = (
        f"{100 * share:.2f} % of {total:,} {WHAT[one]} as in float ({100 * LEAST[one]:g} % are asked for)"
        for (one, share), total in zip(shares.items(), counts[:, 1].tolist(), strict=True)
    )
    said = f"without labels: {', '.join(told)}, on {len(sources)} images that were not calibrated on"
    return Result(all(share >= LEAST[one] for one, share in shares.items()), said)


def _agreement(kind: str, plain: Any, file: Any) -> tuple[int, int]:
    """How much of one image's prediction agrees, and of how much."""
    if kind == "classification":
        return int(plain.argmax() == file.argmax()), 1
    if kind == "segmentation":
        return int((plain == file).sum()), plain.size
    sides = _with_their_like(plain, file), _with_their_like(file, plain)
    return sum(int(side.sum()) for side in sides), sum(len(side) for side in sides)


def _with_their_like(boxes: Detections, others: Detections) -> NDArray[np.bool_]:
    """Of each box that is sure: whether one of the same class lies where it does, with half the score or more."""
    sure, like = boxes.scores >= SURE, others.scores >= LIKE
    ours, theirs = boxes.boxes[sure][:, None], others.boxes[like][None]
    low, high = np.maximum(ours[..., :2], theirs[..., :2]), np.minimum(ours[..., 2:], theirs[..., 2:])
    intersection = (high - low).clip(0).prod(-1)
    union = (ours[..., 2:] - ours[..., :2]).prod(-1) + (theirs[..., 2:] - theirs[..., :2]).prod(-1) - intersection
    overlap = intersection >= OVERLAP * union
    found: NDArray[np.bool_] = (overlap & (boxes.labels[sure][:, None] == others.labels[like])).any(1)
    return found
