"""Which images int8's ranges are measured on, and which are kept from that to compare the file on."""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from rich.progress import track

from datasets import DataError, read_image
from deploy.export_options import Gate, Quantisation
from deploy.extras import DeployError
from deploy.formats import Image
from tasks.sources import find_sources
from tasks.wing import Wing

KEPT_BACK = 5  # every so many-th image, where the file is not evaluated on labels
COMPARED = 64  # images of these, at most
Source = Path | Image
Item = TypeVar("Item")


@dataclass(frozen=True)
class Calibration:
    """Images by what they are for.

    Attributes:
        sources: to calibrate on.
        kept_back: to compare the file with the checkpoint on; none where labels do.
        where: they come from, as a message says it.
        files: of the split, if they are one of a dataset.
    """

    sources: list[Source]
    kept_back: list[Source]
    where: str
    files: Any = None


def find_calibration(wing: Wing, options: Quantisation, gate: Gate) -> Calibration:
    """The images that --calibration means.

    Raises:
        DataError: if nothing is there.
        DeployError: if they are the split that the file is evaluated on, or too few.
    """
    if options.calibration is None:
        return Calibration([], [], "")
    where = f"--calibration {options.calibration}"
    files, (name, _, split) = None, options.calibration.partition(":")
    if name in wing.datasets:
        if gate.dataset not in (None, name):
            raise DeployError(f"{where}: --data-root is that of --dataset {gate.dataset}; give a folder of images")
        split = split or "train"
        if gate.dataset and gate.split == split:
            raise DeployError(f"{where}: the file is evaluated on --split {gate.split}; calibrate on another one")
        files = wing.find_files(name, [split], gate.data_root, group_by=gate.group_by, classes=gate.classes)[0]
        found = [*wing.images(files)]
    else:
        found = [*find_sources(options.calibration, Path(options.calibration)).image_paths]
    if not found:
        raise DeployError(f"{where}: no images in it")
    kept_back = [] if gate.dataset else found[KEPT_BACK - 1 :: KEPT_BACK]
    if not gate.dataset and not kept_back:
        raise DeployError(
            f"{where}: {len(found)} images, and without --dataset it takes {KEPT_BACK} or more: every "
            f"{KEPT_BACK}th is kept back to compare the file on"
        )
    sources = found if gate.dataset else [s for at, s in enumerate(found) if at % KEPT_BACK != KEPT_BACK - 1]
    return Calibration(spread(sources, options.calibration_images), spread(kept_back, COMPARED), where, files)


def spread(items: Sequence[Item], most: int) -> list[Item]:
    """At most so many of some items, from all over them: one at random out of each of as many equal parts."""
    if len(items) <= most:
        return [*items]
    edges = np.linspace(0, len(items), most + 1).astype(int)
    chosen = np.random.default_rng(0).integers(edges[:-1], edges[1:])
    return [items[index] for index in chosen]


def read(source: Source) -> Image:
    """An image, uint8 [H, W, 3].

    Raises:
        DataError: if it cannot be read.
    """
    return read_image(source) if isinstance(source, Path) else source


def read_calibration(calibration: Calibration, prepare: Callable[[Image], Image]) -> tuple[list[Image], dict[str, str]]:
    """The images that can be read, as a network takes them, and what each shows, with a name for it.

    Images that cannot be read are left out, with a line on how many.

    Args:
        calibration: what to read.
        prepare: makes uint8 [1, h, w, 3] of an image.

    Returns:
        The images, and {`digest` of its pixels: its name} of each.

    Raises:
        DeployError: if none can be read.
    """
    images, shown, faults = [], {}, []
    for number, source in enumerate(track(calibration.sources, "Reading calibration images", transient=True)):
        try:
            image = read(source)
        except DataError as error:
            faults.append(str(error))
            continue
        images.append(prepare(image))
        shown[digest(image)] = str(source) if isinstance(source, Path) else f"number {number}"
    if not images:
        raise DeployError(f"{calibration.where}: none of its images can be read ({faults[0]})")
    if faults:
        print(f"{calibration.where}: {len(faults)} of {len(calibration.sources)} images left out ({faults[0]})")
    return images, shown


def digest(image: Image) -> str:
    """Of an image's pixels, the same for all files that hold the same picture."""
    return hashlib.sha256(repr(image.shape).encode() + np.ascontiguousarray(image).tobytes()).hexdigest()


def require_no_overlap(wing: Wing, files: Any, shown: dict[str, str], where: str) -> None:
    """See that no image of the split that a file is evaluated on was calibrated on.

    Args:
        wing: of the task.
        files: of the split.
        shown: what was calibrated on, see `read_calibration`.
        where: it comes from.

    Raises:
        DeployError: naming the first one.
    """
    for source in track(wing.images(files), "Comparing images", transient=True):
        name = shown.get(digest(read(source)))
        if name is not None:
            same = f"{source} of {files.split}" if isinstance(source, Path) else f"one of {files.split}"
            raise DeployError(f"{where}: {name} shows the same as {same}, which the file is evaluated on; take others")
