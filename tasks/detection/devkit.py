"""The result files of PASCAL VOC's development kit: one of each class, named comp4_det_SPLIT_CLASS.txt.

A line is a detection: image, score, xmin, ymin, xmax, ymax. Pixels are counted from 1, and the last ones belong to the
box (VOC2012 devkit documentation, Section 4.2). In our continuous pixels such a box is xmin - 1, ymin - 1, xmax, ymax.
"""

import re
from pathlib import Path

import numpy as np

from datasets import DataError, DetectionFiles
from datasets.faults import one_line
from datasets.files import read_lines
from tasks.detection.detections import Detections, by_image

NAME = re.compile(r"comp[34].*?_det_(.+)\.txt")  # py-faster-rcnn writes comp4_<its own mark>_det_...
LINE = "a line is: image score xmin ymin xmax ymax"
MOST = float(np.finfo(np.float32).max)


def read_devkit(folder: Path, files: DetectionFiles) -> list[Detections]:
    """Read the result files of all classes of a split.

    Args:
        folder: holds them; files of other splits may be there too.
        files: the split that was evaluated; images are known by their files' names without the ending.

    Returns:
        One an image, in the order of the split, sorted by score; equal scores in the order of the classes and lines.

    Raises:
        DataError: if a class has no file, or several; if a line is not as it should be, or of an image that the split
            does not have. One line.
    """
    stems = {path.stem: index for index, path in enumerate(files.image_paths)}
    if len(stems) < len(files.image_paths):
        raise DataError(
            f"{files.root}: images of {files.split} share a name, so that {folder} cannot say which it means"
        )
    rows: list[tuple[float, ...]] = []
    for label, path in enumerate(_find(folder, files)):
        for number, line in enumerate(read_lines(path), start=1):
            if line.strip():
                rows.append((label, *_parse(line, f"{path}: line {number}", stems, files.split)))
    table = np.array(rows, dtype=np.float64).reshape(-1, 7)
    labels, images = table[:, :2].T.astype(np.int64)
    return by_image(len(stems), images, table[:, 3:] - (1, 1, 0, 0), table[:, 2], labels)


def _find(folder: Path, files: DetectionFiles) -> list[Path]:
    """The file of every class."""
    there: dict[str, list[Path]] = {}
    for path in sorted(folder.iterdir()):
        match = NAME.fullmatch(path.name)
        if match:
            there.setdefault(match[1], []).append(path)
    wanted = {name: there.get(f"{files.split}_{name}", []) for name in files.names}
    expected = f"comp4_det_{files.split}_CLASS.txt"
    if not any(wanted.values()):
        found = next((path.name for paths in there.values() for path in paths), None)
        hint = f"there is {found}; --split names the split" if found else "nor a file of another split"
        raise DataError(f"{folder}: no file {expected} of any class, {hint}")
    missing = [name for name, paths in wanted.items() if not paths]
    if missing:
        more = f" and {len(missing) - 5} more" if len(missing) > 5 else ""
        raise DataError(
            f"{folder}: no {expected} of {one_line(', '.join(missing[:5]))}{more}; write an empty one where nothing "
            "was found"
        )
    for paths in wanted.values():
        if len(paths) > 1:
            raise DataError(f"{folder}: {paths[0].name} and {paths[1].name} are of one class; leave one of them there")
    return [paths[0] for paths in wanted.values()]


def _parse(line: str, place: str, stems: dict[str, int], split: str) -> tuple[float, ...]:
    """Image, score and corners as they are written."""
    image, *texts = line.strip().rsplit(maxsplit=5)
    try:
        numbers = [float(text) for text in texts]
    except ValueError:
        numbers = []
    if len(numbers) != 5 or not all(abs(number) <= MOST for number in numbers):
        raise DataError(f"{place} is {one_line(line.strip(), 80)!r}; {LINE}, five finite numbers")
    if image not in stems:
        raise DataError(f"{place} is of image {one_line(image, 80)}, which split {split} does not have")
    if numbers[3] < numbers[1] - 1 or numbers[4] < numbers[2] - 1:
        raise DataError(f"{place} has xmax below xmin, or ymax below ymin: {one_line(line.strip(), 80)!r}; {LINE}")
    return (stems[image], *numbers)
