"""What a detector found in an image, and COCO results json: written, and read from anybody."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch.distributed as dist
from numpy.typing import NDArray

from datasets import DataError, DetectionFiles
from datasets.faults import one_line
from heads import Decoded
from tasks.writing import write_json

KEYS = ("image_id", "category_id", "bbox", "score")
LISTS = ("annotations", "results", "predictions", "detections")  # where tools put them in a dict
SHAPE = "results are a list of {image_id, category_id, bbox: [x, y, width, height], score}"


@dataclass(frozen=True)
class Detections:
    """The detections of one image, best first.

    Attributes:
        boxes: float32 [n, 4], corners x1, y1, x2, y2 in the image's own pixels, continuous and 0-based.
        scores: float32 [n], descending.
        labels: int64 [n], indices into the class names.
    """

    boxes: NDArray[np.float32]
    scores: NDArray[np.float32]
    labels: NDArray[np.int64]

    def described(self, names: Sequence[str]) -> list[dict[str, Any]]:
        """For JSON: class, score and box of each."""
        rows = zip(self.labels.tolist(), self.scores.tolist(), self.boxes.tolist(), strict=True)
        return [{"class": names[label], "score": score, "box": box} for label, score, box in rows]

    def to_coco(self, image_id: int | str, category_ids: Sequence[int]) -> list[dict[str, Any]]:
        """COCO results, of plain numbers; `read_results` gives the same float32 back."""
        # sums and differences of float32 are exact enough in float64 for that
        boxes = self.boxes.astype(np.float64)
        boxes[:, 2:] -= boxes[:, :2]
        rows = zip(self.labels.tolist(), boxes.tolist(), self.scores.tolist(), strict=True)
        return [
            {"image_id": image_id, "category_id": category_ids[label], "bbox": box, "score": score}
            for label, box, score in rows
        ]


def in_pixels(decoded: Decoded, sizes: Sequence[tuple[int, int]]) -> list[Detections]:
    """The detections of a batch in the pixels of its images.

    Args:
        decoded: as `decode_detections` gives them, boxes in shares of the image.
        sizes: height and width of each image.
    """
    result = []
    for (height, width), *fields, count in zip(sizes, *(field.cpu().numpy() for field in decoded), strict=True):
        boxes, scores, labels = (values[:count] for values in fields)
        result.append(Detections(boxes * np.array([width, height] * 2, dtype=np.float32), scores, labels))
    return result


def gathered(found: dict[str, Detections]) -> dict[str, Detections]:
    """The detections by file of all processes."""
    if not (dist.is_available() and dist.is_initialized()):
        return found
    parts: list[Any] = [None] * dist.get_world_size()
    dist.all_gather_object(parts, found)
    return {file: detections for part in parts for file, detections in part.items()}


def write_results(path: Path, files: DetectionFiles, detections: Sequence[Detections]) -> None:
    """Write detections as COCO results json, complete or not at all, making the folder.

    Args:
        path: the file.
        files: the split; its `ids` and `category_ids` are written.
        detections: one an image, in the order of the split.

    Raises:
        TaskError: if the file cannot be written; one that was there before is kept.
    """
    results: list[dict[str, Any]] = []
    for image, found in zip(files.ids, detections, strict=True):
        results += found.to_coco(image, files.category_ids)
    write_json(path, results, indent=None)


def read_results(path: Path, files: DetectionFiles) -> list[Detections]:
    """Read COCO results json, whoever wrote it: a list, or a dict that holds it under one of `LISTS`.

    Args:
        path: the file.
        files: the split that was evaluated; its `ids` and `category_ids` are looked up.

    Returns:
        One an image, in the order of the split; images that the file does not name have none. Sorted by score,
        equal scores in the order of the file.

    Raises:
        DataError: if the file is missing, no json, an annotation file, or holds no list or several; if a dict has
            other ids for classes or images than the split; if entries lack a key, name an image or category that the
            split does not have, or hold numbers that are not finite or sizes below 0. One line, with how many entries
            are concerned and which is the first.
    """
    entries = _entries(path, files)
    images = _look_up(path, entries, "image_id", files.ids)
    labels = _look_up(path, entries, "category_id", files.category_ids)
    boxes, scores = _numbers(path, entries, "bbox", 4), _numbers(path, entries, "score", 1)[:, 0]
    _refuse(path, boxes[:, 2:].min(1) < 0, entries, "bbox", "a width or height below 0")
    boxes[:, 2:] += boxes[:, :2]
    return by_image(len(files.ids), images, boxes, scores, labels)


def by_image(
    count: int,
    images: NDArray[np.int64],
    boxes: NDArray[np.float64],
    scores: NDArray[np.float64],
    labels: NDArray[np.int64],
) -> list[Detections]:
    """The detections of a split apart by image, `count` of them, best first; equal scores stay in their order.

    Args:
        count: images of the split.
        images: int64 [n], which image a detection is of.
        boxes: float64 [n, 4], corners.
        scores: float64 [n].
        labels: int64 [n].
    """
    order = np.lexsort((-scores, images))
    ends = np.bincount(images, minlength=count).cumsum()[:-1]
    columns = (boxes.astype(np.float32), scores.astype(np.float32), labels)
    parts = [np.split(column[order], ends) for column in columns]
    return [Detections(*part) for part in zip(*parts, strict=True)]


def _entries(path: Path, files: DetectionFiles) -> list[dict[str, Any]]:
    try:
        content = json.loads(path.read_text(encoding="utf-8-sig"))
    except FileNotFoundError:
        raise DataError(f"{path}: no such file") from None
    except (OSError, ValueError, RecursionError) as error:
        raise DataError(f"{path}: cannot be read as json ({error})") from None
    if isinstance(content, dict):
        content = _inside(path, content, files)
    if not isinstance(content, list):
        raise DataError(f"{path}: holds no list; {SHAPE}")
    for number, entry in enumerate(content):
        missing = [key for key in KEYS if not isinstance(entry, dict) or key not in entry]
        if missing:
            raise DataError(f"{path}: entry {number} has no {', '.join(missing)}; {SHAPE}")
    return content


def _inside(path: Path, content: dict[str, Any], files: DetectionFiles) -> Any:
    """The list of results in a dict, as tools write it that keep to the layout of annotation files."""
    lists = [key for key in LISTS if isinstance(content.get(key), list)]
    if len(lists) > 1:
        raise DataError(f"{path}: holds {' and '.join(lists)}, and either may be the results; leave one of them")
    if not lists:
        return content
    entries = content[lists[0]]
    scored = any(isinstance(entry, dict) and "score" in entry for entry in entries)
    if lists == ["annotations"] and not scored and "images" in content:
        raise DataError(f"{path}: this is an annotation file, not results; {SHAPE}")
    images = {number: image.name for number, image in zip(files.ids, files.image_paths, strict=True)}
    classes = dict(zip(files.category_ids, files.names, strict=True))
    _require_same_ids(path, content, "categories", "name", classes)
    _require_same_ids(path, content, "images", "file_name", images)
    return entries


def _require_same_ids(path: Path, content: dict[str, Any], key: str, name: str, known: Mapping[Any, str]) -> None:
    """Refuse ids of classes or images that stand for others than in the split, as some tools number them anew."""
    rows = content[key] if isinstance(content.get(key), list) else []
    for number, told in ((row.get("id"), row[name]) for row in rows if isinstance(row, dict) and name in row):
        ours = known.get(number) if isinstance(number, int | str) else None
        told = str(told).replace("\\", "/").rpartition("/")[2]
        if ours not in (None, told):
            what = f"id {number} is {one_line(told)} in its {key}, and {one_line(ours)} in the ground truth"
            raise DataError(f"{path}: {what}; give both the same ids")


def _look_up(path: Path, entries: list[dict[str, Any]], key: str, ids: Iterable[int | str]) -> NDArray[np.int64]:
    """Indices of ids in the split, int64 [entries]."""
    known: dict[Any, int] = {value: index for index, value in enumerate(ids)}
    values = (entry[key] for entry in entries)
    found = [known.get(value, -1) if isinstance(value, int | float | str) else -1 for value in values]
    indices = np.array(found, dtype=np.int64)
    _refuse(path, indices < 0, entries, key, "no such id in the annotations")
    return indices


def _numbers(path: Path, entries: list[dict[str, Any]], key: str, count: int) -> NDArray[np.float64]:
    """Finite numbers, float64 [entries, count]; an entry holds a list of them, or just the one."""
    rows = [entry[key] if count > 1 else [entry[key]] for entry in entries]
    sound = [isinstance(row, list) and len(row) == count and all(type(x) in (int, float) for x in row) for row in rows]
    rows = [row if right else [np.nan] * count for row, right in zip(rows, sound, strict=True)]
    numbers = np.array(rows, dtype=np.float64).reshape(-1, count)
    finite = np.abs(numbers).max(1) <= np.finfo(np.float32).max
    _refuse(path, ~finite, entries, key, "must be a finite number" if count == 1 else f"must be {count} finite numbers")
    return numbers


def _refuse(path: Path, wrong: NDArray[np.bool_], entries: list[dict[str, Any]], key: str, why: str) -> None:
    if wrong.any():
        first = int(wrong.argmax())
        count = f"{wrong.sum():,} of {len(entries):,} entries"
        raise DataError(f"{path}: {key} of {count}: {why}; the first is {entries[first][key]!r} in entry {first}")
