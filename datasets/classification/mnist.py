"""MNIST: handwritten digits in IDX files, plain or gzipped."""

import gzip
import struct
import zlib
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from datasets.classification.files import ClassificationFiles
from datasets.faults import DataError
from datasets.files import require_file

PREFIXES = {"train": "train", "test": "t10k"}
KINDS = {"images": ("images", 3), "labels": ("labels", 1)}  # the word in the file's name, and its dimensions
LARGEST = 2**28  # bytes; MNIST has 47 million, and the images are held in memory three times as large
NAMES = [str(digit) for digit in range(10)]


def mnist(root: Path, source: str) -> ClassificationFiles:
    """The digits of one source; each grey value becomes three channels.

    Args:
        root: the folder of the four files, or torchvision's with MNIST/raw in it.
        source: "train" or "test".

    Raises:
        DataError: if a file is not there.
    """
    folder = next((path for path in (root / "MNIST" / "raw", root / "raw") if path.is_dir()), root)
    paths = {kind: _find(folder, source, *words) for kind, words in KINDS.items()}
    faults, arrays = [], {}
    for kind, path in paths.items():
        try:
            arrays[kind] = read_idx(path, kind)
        except DataError as error:
            faults.append(str(error))
    images = arrays.get("images", np.zeros((0, 28, 28), np.uint8))
    labels = arrays.get("labels", np.zeros(0, np.uint8)).astype(np.int64)
    if not faults and len(images) != len(labels):
        faults.append(f"{paths['labels']}: {len(labels):,} labels for {len(images):,} images in {paths['images']}")
    if labels.max(initial=0) >= len(NAMES):
        faults.append(f"{paths['labels']}: label {labels.max()}; the digits are 0 to 9")
    if faults:
        images, labels = images[:0], labels[:0]
    image_paths = [f"{paths['images']}#{index:05d}" for index in range(len(images))]
    rgb = np.repeat(images[..., None], 3, axis=3)
    return ClassificationFiles(root, source, NAMES, image_paths, labels, rgb, faults, flips=False)


def _find(folder: Path, source: str, word: str, dimensions: int) -> Path:
    stem = f"{PREFIXES[source]}-{word}"
    names = [f"{stem}{sign}idx{dimensions}-ubyte{end}" for end in ("", ".gz") for sign in "-."]
    for name in names:
        if (folder / name).is_file():
            return folder / name
    raise DataError(f"{folder}: neither {names[0]} nor {names[2]} is in it; --download fetches MNIST into data/mnist")


def read_idx(path: Path, kind: str) -> NDArray[np.uint8]:
    """The bytes of an IDX file, uint8 [N] for "labels" and [N, H, W] for "images".

    Raises:
        DataError: if it is damaged, holds something else or nothing, is not as long as it says, or is too large.
    """
    dimensions = KINDS[kind][1]
    require_file(path)
    try:
        with gzip.open(path) if path.suffix == ".gz" else open(path, "rb") as file:
            content = file.read(LARGEST + 1)
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(f"{path}: cannot be read ({error}); fetch it again") from None
    if len(content) > LARGEST:
        raise DataError(f"{path}: holds more than {LARGEST >> 20} MiB, and MNIST 45; fetch it again")
    header, expected = 4 * (1 + dimensions), 0x0800 + dimensions  # 08 for unsigned bytes
    magic, *sides = struct.unpack(f">{1 + dimensions}I", content[:header].ljust(header, b"\0"))
    if magic != expected:
        raise DataError(f"{path}: starts with 0x{magic:08x}, and an IDX file of {kind} starts with 0x{expected:08x}")
    size, shape = int(np.prod(sides, dtype=object)), " x ".join(map(str, sides))
    if len(content) - header != size:
        held = f"{max(0, len(content) - header):,} bytes of {kind}"
        raise DataError(f"{path}: holds {held}, and its header says {shape}; fetch it again")
    if not size:
        raise DataError(f"{path}: holds no {kind}, as its header says {shape}; fetch it again")
    return np.frombuffer(content, np.uint8, offset=header).reshape(sides)
