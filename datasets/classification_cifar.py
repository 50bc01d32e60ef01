"""CIFAR-10, and whatever has its layouts: class folders or pickled batches, as they are or in an archive."""

import io
import lzma
import os
import pickle
import re
import tarfile
import zlib
from collections import Counter
from collections.abc import Callable, Collection, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from datasets.classification_files import ClassificationFiles, is_picture
from datasets.files import DataError, read_image

NAMES = ["airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"]
BATCHES = {"train": {f"data_batch_{number}" for number in range(1, 6)}, "test": {"test_batch"}}
IN_CLASS = re.compile(r"(?:^|/)(train|test)/([^/.][^/]*)/(.*)")
IN_BATCH = re.compile(r"(?:^|/)(data_batch_[1-5]|test_batch)$")
PICKLED = {"_reconstruct", "ndarray", "dtype", "encode"}  # what numpy's arrays are pickled by


def cifar10(root: Path, sources: Collection[str]) -> dict[str, ClassificationFiles]:
    """Pictures of one size, decoded once.

    Args:
        root: a folder, or a .tar, .tar.gz or .tar.xz archive of one, with train/<class>/ and test/<class>/, or with the
            original batches, data_batch_1 to data_batch_5 and test_batch.
        sources: which of "train" and "test" to read.

    Raises:
        DataError: if there is nothing of the kind, or the archive is damaged.
    """
    if not root.exists():
        raise DataError(f"{root}: no such folder or archive; --download fetches CIFAR-10 into data/cifar10")
    gathered = {source: _Gathered(root) for source in sources}
    for name, read in _entries(root):
        inside, batch = IN_CLASS.search(name), IN_BATCH.search(name)
        for source, pictures in gathered.items():
            if batch and batch[1] in BATCHES[source]:
                pictures.add_batch(batch[1], name, read())
            elif inside and inside[1] == source:
                pictures.add(inside[2], name, read)
    return {source: pictures.files(source) for source, pictures in gathered.items()}


def _entries(root: Path) -> Iterator[tuple[str, Callable[[], bytes]]]:
    """Files and folders below a folder or in an archive, and what reads them; names of folders end in a slash."""
    if root.is_dir():
        for folder, _, names in os.walk(root, followlinks=True):
            below = "" if Path(folder) == root else Path(folder).relative_to(root).as_posix() + "/"
            yield below, bytes
            for name in names:
                yield below + name, Path(folder, name).read_bytes
        return
    try:
        with tarfile.open(root) as archive:
            for member in archive:
                file = archive.extractfile(member) if member.isfile() else None
                yield (member.name, partial(bytes, file.read())) if file else (member.name + "/", bytes)
    except (tarfile.TarError, lzma.LZMAError, zlib.error, EOFError, OSError) as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise DataError(f"{root}: no whole archive ({reason}); fetch it again") from None


class _Gathered:
    """The pictures of one split while they are read."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.found: list[tuple[str, str, NDArray[np.uint8]]] = []  # name, class, picture
        self.classes: set[str] = set()
        self.batches: set[str] = set()
        self.faults: list[str] = []

    def add(self, category: str, name: str, read: Callable[[], bytes]) -> None:
        self.classes.add(category)
        if is_picture(name.rpartition("/")[2]):
            try:
                self.found.append((name, category, decode(read(), self.root / name)))
            except (DataError, OSError) as error:
                self.faults.append(str(error))

    def add_batch(self, batch: str, name: str, content: bytes) -> None:
        self.batches.add(batch)
        self.classes.update(NAMES)
        try:
            images, labels = _read_batch(content)
        except Exception as error:  # an unpickler trips over garbage in any way it likes
            self.faults.append(f"{self.root / name}: no readable batch of CIFAR-10 ({type(error).__name__}: {error})")
            return
        self.found += [
            (f"{name}#{index:04d}", NAMES[label], image)
            for index, (image, label) in enumerate(zip(images, labels, strict=True))
        ]

    def files(self, source: str) -> ClassificationFiles:
        if not self.classes:
            batches = "data_batch_1 to 5" if source == "train" else "test_batch"
            raise DataError(f"{self.root}: neither {source}/<class>/picture.jpg nor {batches} of CIFAR-10 is in it")
        missing = sorted(BATCHES[source] - self.batches) if self.batches else []
        self.faults += [f"{self.root}: {batch} is missing" for batch in missing]
        shape = self._require_one_size()
        names, found = sorted(self.classes), sorted(self.found, key=lambda entry: entry[0])
        occurs = {category for _, category, _ in found}
        self.faults += [f"{self.root}: no pictures of {name} in {source}" for name in names if name not in occurs]
        labels = np.array([names.index(category) for _, category, _ in found], dtype=np.int64)
        images = np.array([image for _, _, image in found], dtype=np.uint8).reshape(-1, *shape)
        pictures = [str(self.root / name) for name, _, _ in found]
        return ClassificationFiles(self.root, source, names, pictures, labels, images, self.faults)

    def _require_one_size(self) -> tuple[int, int, int]:
        """The shape that most pictures have; the others become faults."""
        shape = Counter(image.shape for _, _, image in self.found).most_common(1)[0][0] if self.found else (1, 1, 3)
        for name, _, image in self.found:
            if image.shape != shape:
                size, most = (f"{width}x{height}" for height, width, _ in (image.shape, shape))
                self.faults.append(f"{self.root / name}: is {size}, and the other pictures are {most}")
        self.found = [entry for entry in self.found if entry[2].shape == shape]
        return shape


def decode(content: bytes, path: Path) -> NDArray[np.uint8]:
    """A small picture out of its file's bytes, uint8 [H, W, 3] RGB; for JPEG several times faster than `read_image`.

    Raises:
        DataError: naming the path, if the bytes are no whole picture.
    """
    whole = content.startswith(b"\xff\xd8") and content.endswith(b"\xff\xd9")  # OpenCV fills up what is cut off
    found = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_COLOR) if whole else None
    if found is None:
        return read_image(path, content)
    rgb: Any = cv2.cvtColor(found, cv2.COLOR_BGR2RGB)
    return rgb


class _ArrayUnpickler(pickle.Unpickler):
    """Builds arrays, numbers, texts, lists and dictionaries, and runs nothing else that a file may ask for."""

    def find_class(self, module: str, name: str) -> Any:
        if module.split(".")[0] in ("numpy", "_codecs") and name in PICKLED:
            return super().find_class(module, name)
        raise pickle.UnpicklingError(f"it asks for {module}.{name}")


def _read_batch(content: bytes) -> tuple[NDArray[np.uint8], list[int]]:
    """uint8 [N, 32, 32, 3] and the labels of a batch in the format of https://www.cs.toronto.edu/~kriz/cifar.html."""
    batch = _ArrayUnpickler(io.BytesIO(content), encoding="bytes").load()
    images, labels = batch[b"data"], batch[b"labels"]
    if images.dtype != np.uint8 or images.shape != (len(labels), 3072) or not set(labels) <= set(range(len(NAMES))):
        raise ValueError(f"{images.dtype} {list(images.shape)} with {len(labels)} labels")
    return images.reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1), labels
