"""Which images a source means, their reading one after the other, and what their results are called."""

import glob
import os
import re
import warnings
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL.Image import DecompressionBombWarning
from rich.progress import track

from datasets import IMAGE_SUFFIXES, DataError, read_image
from datasets.faults import list_faults
from tasks.errors import TaskError

Image = NDArray[np.uint8]
VIDEOS = (".mp4", ".avi", ".mov", ".mkv", ".webm")


@dataclass(frozen=True)
class Sources:
    """Images below a common folder, or one video (a path, or a webcam's number)."""

    folder: Path
    image_paths: list[Path]
    video: Path | int | None = None


def find_sources(source: str, output: Path) -> Sources:
    """What a --source means.

    Hidden files and folders below a folder are left out, and so is what lies in an output folder within it: the
    results of an earlier run. Where links lead to one folder, the shortest way is taken.

    Args:
        source: an image, a folder, a glob, a video, "webcam" or "webcam:N".
        output: where results will go.

    Raises:
        DataError: if nothing is there.
    """
    if re.fullmatch("webcam(:[0-9]{1,3})?", source):
        return Sources(Path(), [], int(source[7:] or 0))
    path = Path(source)
    if path.is_file():
        return Sources(path.parent, [path]) if path.suffix.lower() not in VIDEOS else Sources(path.parent, [], path)
    below: Iterable[Path]
    if path.is_dir():
        folder, hidden = path, re.compile(rf"(^|{re.escape(os.sep)})\.")
        below = (p for p in path.rglob("*") if not hidden.search(str(p.relative_to(path))))
        nothing = f"{path}: no images ({', '.join(IMAGE_SUFFIXES)}) in it"
    else:
        folder = Path(re.split(r"[*?\[]", source)[0] + "x").parent  # the folders before the first wildcard
        below = (Path(name) for name in glob.iglob(source, recursive=True))
        nothing = f"{source}: no such image, folder or video, and no image matches it as a pattern"
    below = sorted(
        (p for p in below if p.suffix.lower() in IMAGE_SUFFIXES and not p.is_dir()), key=lambda p: (len(p.parts), p)
    )
    places = {_place(p): p for p in reversed(below)}
    results = Path(os.path.realpath(output))
    within = results if Path(os.path.realpath(folder)) in results.parents else None
    images = sorted(p for place, p in places.items() if within not in place.parents)
    apart = f"; {len(places) - len(images)} in {output}, where results go, are left out"
    if not images:
        raise DataError(nothing + (apart if places else ""))
    if len(images) < len(places):
        print(f"{source}: {len(images)} images{apart}")
    return Sources(folder, images)


def _place(path: Path) -> Path:
    """A path without links among its folders."""
    return Path(os.path.realpath(path.parent), path.name)


def read_images(paths: list[Path], faults: list[str]) -> Iterator[tuple[Path, Image]]:
    """Images one after the other, under a progress bar; of those that cannot be read, a line is put into `faults`."""
    # read_image refuses what no memory would hold
    warnings.filterwarnings("ignore", category=DecompressionBombWarning)
    for path in track(paths, "Predicting", transient=True):
        try:
            yield path, read_image(path)
        except DataError as error:
            faults.append(str(error))


def unread(faults: list[str], written: str) -> DataError:
    """What to raise at the end where some images could not be read; `written` says what became of the others."""
    if len(faults) == 1:
        return DataError(f"{faults[0]}; {written}")
    return DataError(list_faults(faults, written))


def places(paths: Iterable[Path]) -> set[Path]:
    """Where files are, whatever links lead there; see `keep_apart`."""
    return set(map(_place, paths))


def keep_apart(results: Iterable[Path], images: set[Path]) -> None:
    """See that no result takes the place of an image that was to be predicted.

    Raises:
        TaskError: if one does.
    """
    for result in results:
        if _place(result) in images:
            raise TaskError(f"{result}: an image of --source that results would replace; name another --output")


def result_names(sources: Sources) -> list[Path]:
    """What each image's results are called: its path below the source folder without suffix, all of them different.

    Where that is several images' path, the suffix stays as in a_jpg and a_png.
    """
    below = [path.relative_to(sources.folder) for path in sources.image_paths]
    longer = [path.with_name(path.stem + path.suffix.replace(".", "_")) for path in below]
    taken = Counter(path.with_suffix("") for path in below) + Counter(set(longer))
    pairs = zip(below, longer, strict=True)
    return [path.with_suffix("") if taken[path.with_suffix("")] == 1 else long for path, long in pairs]
