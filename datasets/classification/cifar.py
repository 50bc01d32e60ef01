"""CIFAR-10, and whatever has its layouts: class folders or pickled batches, as they are or in an archive."""

import io
import pickle
import re
import tarfile
from collections import Counter
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from datasets.classification.files import ClassificationFiles
from datasets.faults import DataError, one_line
from datasets.files import is_image, is_inside, read_bytes, require_file, walk
from datasets.images import read_image

NAMES = ["airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"]
BATCHES = {"train": {f"data_batch_{number}" for number in range(1, 6)}, "test": {"test_batch"}}
IN_CLASS = re.compile(r"(?:^|/)(train|test)/([^/.][^/]*)/(.*)")
IN_BATCH = re.compile(r"(?:^|/)(data_batch_[1-5]|test_batch)$")
# CIFAR-10 has batches of 31 MB, or 60,000 images; whatever takes much more has been made to fill memory or disk
MEMBER_BYTES, ALL_BYTES, MEMBERS, PIXELS = 2**26, 2**31, 200_000, 2**20


def cifar10(root: Path, sources: Collection[str]) -> dict[str, ClassificationFiles]:
    """Images of one size, decoded once.

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
        for source, images in gathered.items():
            if batch and batch[1] in BATCHES[source]:
                images.add_batch(batch[1], name, read)
            elif inside and inside[1] == source:
                images.add(inside[2], name, read)
    return {source: images.files(source) for source, images in gathered.items()}


def _entries(root: Path) -> Iterator[tuple[str, Callable[[], bytes]]]:
    """Files and folders below a folder or in an archive, and what reads them; names of folders end in a slash."""
    if root.is_dir():
        for folder, names in walk(root):
            below = "" if Path(folder) == root else Path(folder).relative_to(root).as_posix() + "/"
            yield below, bytes
            for name in names:
                yield below + name, partial(read_bytes, Path(folder, name))
        return
    require_file(root)
    with _unpacking(root), tarfile.open(root) as archive:
        yield from _members(root, archive)


class _Damaged(DataError):
    """An archive that ends early or is none; nothing more can be read from it."""


@contextmanager
def _unpacking(root: Path) -> Iterator[None]:
    try:
        yield
    except DataError:
        raise
    except Exception as error:  # tarfile and its decompressors trip over garbage in any way they like
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise _Damaged(f"{root}: no whole archive ({one_line(reason)}); fetch it again") from None


def _members(root: Path, archive: tarfile.TarFile) -> Iterator[tuple[str, Callable[[], bytes]]]:
    """What an archive holds, as long as it is no more than a set of small images has."""
    seen: set[str] = set()
    size = 0
    for member in archive:
        size += member.size
        if member.size > MEMBER_BYTES or size > ALL_BYTES or len(seen) >= MEMBERS:
            what = f"{one_line(member.name)} of {member.size:,} bytes"
            raise DataError(f"{root}: {what} is more than CIFAR-10 can have; fetch it again")
        name = PurePosixPath(member.name).as_posix()
        if not is_inside(name) or name in seen:
            how = "twice" if name in seen else "with a name that leads out of it"
            raise DataError(f"{root}: {one_line(name)} is in it {how}; pack it anew")
        if member.isdir():
            yield name + "/", bytes
            continue
        seen.add(name)
        yield name, partial(_extract, root, archive, member)
    stream: Any = archive.fileobj
    while stream.read(2**20):  # compressed streams have their checksums at the end, behind the last member
        size += 2**20
        if size > ALL_BYTES:
            raise DataError(f"{root}: goes on behind its last file; fetch it again")


def _extract(root: Path, archive: tarfile.TarFile, member: tarfile.TarInfo) -> bytes:
    if not member.isreg():
        raise DataError(f"{root / member.name}: is a link or no file; pack the files themselves")
    with _unpacking(root):
        file = archive.extractfile(member)
        content = file.read() if file else b""
        if len(content) < member.size:
            raise EOFError(f"{member.name} ends early")
        return content


class _Gathered:
    """The images of one split while they are read."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.found: list[tuple[str, str, NDArray[np.uint8]]] = []  # name, class, image
        self.classes: set[str] = set()
        self.batches: set[str] = set()
        self.loose = False
        self.faults: list[str] = []
        self.bytes = 0

    def add(self, category: str, name: str, read: Callable[[], bytes]) -> None:
        self.classes.add(category)
        if is_image(name.rpartition("/")[2]):
            self.loose = True
            try:
                image = decode(read(), self.root / name)
            except _Damaged:
                raise
            except DataError as error:
                self.faults.append(str(error))
                return
            self.found.append((name, category, image))
            self.bytes += image.nbytes
            if self.bytes > ALL_BYTES:
                raise DataError(f"{self.root}: images take more than {ALL_BYTES >> 30} GiB; use --dataset folder")

    def add_batch(self, batch: str, name: str, read: Callable[[], bytes]) -> None:
        if batch in self.batches:
            self.faults.append(f"{self.root / name}: a second {batch}; keep one")
            return
        self.batches.add(batch)
        self.classes.update(NAMES)
        content = read()
        try:
            images, labels = _read_batch(content)
        except Exception as error:  # an unpickler trips over garbage in any way it likes
            reason = one_line(f"{type(error).__name__}: {error}")
            self.faults.append(f"{self.root / name}: no readable batch of CIFAR-10 ({reason})")
            return
        self.found += [
            (f"{name}#{index:04d}", NAMES[label], image)
            for index, (image, label) in enumerate(zip(images, labels, strict=True))
        ]

    def files(self, source: str) -> ClassificationFiles:
        if not self.classes:
            batches = "data_batch_1 to 5" if source == "train" else "test_batch"
            raise DataError(f"{self.root}: neither {source}/<class>/image.jpg nor {batches} of CIFAR-10 is in it")
        if self.batches and self.loose:
            self.faults.append(f"{self.root}: holds batches of CIFAR-10 and {source}/<class>/ too; keep one of the two")
        missing = sorted(BATCHES[source] - self.batches) if self.batches else []
        self.faults += [f"{self.root}: {batch} is missing" for batch in missing]
        shape = self._require_one_size()
        names, found = sorted(self.classes), sorted(self.found, key=lambda entry: entry[0])
        occurs = {category for _, category, _ in found}
        self.faults += [f"{self.root}: no images of {name} in {source}" for name in names if name not in occurs]
        labels = np.array([names.index(category) for _, category, _ in found], dtype=np.int64)
        images = np.array([image for _, _, image in found], dtype=np.uint8).reshape(-1, *shape)
        image_paths = [str(self.root / name) for name, _, _ in found]
        return ClassificationFiles(self.root, source, names, image_paths, labels, images, self.faults)

    def _require_one_size(self) -> tuple[int, int, int]:
        """The shape that most images have; the others become faults."""
        shape = Counter(image.shape for _, _, image in self.found).most_common(1)[0][0] if self.found else (1, 1, 3)
        for name, _, image in self.found:
            if image.shape != shape:
                size, most = (f"{width}x{height}" for height, width, _ in (image.shape, shape))
                self.faults.append(f"{self.root / name}: is {size}, and the other images are {most}")
        self.found = [entry for entry in self.found if entry[2].shape == shape]
        return shape


def decode(content: bytes, path: Path) -> NDArray[np.uint8]:
    """A small image out of its file's bytes, uint8 [H, W, 3] RGB; for JPEG several times faster than `read_image`.

    Raises:
        DataError: naming the path, if the bytes are no whole image, or one of more than `PIXELS`.
    """
    whole = content.startswith(b"\xff\xd8") and content.endswith(b"\xff\xd9")  # OpenCV fills up what is cut off
    plain = whole and 0 < _plain_pixels(content) <= PIXELS
    found = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_COLOR) if plain else None
    if found is not None:
        rgb: Any = cv2.cvtColor(found, cv2.COLOR_BGR2RGB)
        return rgb
    image = read_image(path, content)
    height, width = image.shape[:2]
    if height * width > PIXELS:
        raise DataError(f"{path}: is {width}x{height}, too large to be held in memory; use --dataset folder")
    return image


def _plain_pixels(content: bytes) -> int:
    """Pixels of a JPEG by its header, before any are decoded; 0 where EXIF may turn it, or it is of a rare kind."""
    place = 2
    while content[place : place + 1] == b"\xff" and place + 10 <= len(content):
        marker, length = content[place + 1], int.from_bytes(content[place + 2 : place + 4], "big")
        if marker in (0xC0, 0xC1, 0xC2):  # 8 bits, 1 or 3 colours
            height, width = (int.from_bytes(content[place + at : place + at + 2], "big") for at in (5, 7))
            return height * width if content[place + 4] == 8 and content[place + 9] in (1, 3) else 0
        if marker == 0xE1:
            return 0
        place += 2 + length
    return 0


class _Dtype:
    """A numpy.dtype in a pickle: its code, such as u1, and its byte order."""

    def __init__(self, code: Any, *_: Any) -> None:
        self.code, self.order = code.decode() if isinstance(code, bytes) else str(code), "|"

    def __setstate__(self, state: Any) -> None:
        order = state[1]
        self.order = order.decode() if isinstance(order, bytes) else order


class _Array:
    """A numpy.ndarray in a pickle: nothing of numpy's runs before its state is known to be sound."""

    def __init__(self, *_: Any) -> None:
        self.shape, self.dtype, self.fortran, self.raw = (0,), _Dtype("u1"), False, b""

    def __setstate__(self, state: Any) -> None:
        version, self.shape, self.dtype, self.fortran, self.raw = state
        if version != 1:
            raise ValueError(f"an array of version {version}")

    def array(self) -> NDArray[Any]:
        if not re.fullmatch("[iu][1248]", self.dtype.code):
            raise ValueError(f"an array of {self.dtype.code}")
        kind = np.dtype(self.dtype.code).newbyteorder(self.dtype.order)  # type: ignore[arg-type]
        return np.frombuffer(self.raw, kind).reshape(self.shape, order="F" if self.fortran else "C")


def _encode(text: str, encoding: str) -> bytes:
    """Bytes, as Python 2's protocols write them."""
    return text.encode({"latin1": "latin1"}[encoding])


# all that a batch may ask for; the modules are names alone, and none is imported
KNOWN: dict[tuple[str, str], Any] = {
    ("numpy", "ndarray"): _Array,
    ("numpy", "dtype"): _Dtype,
    ("numpy.core.multiarray", "_reconstruct"): _Array,
    ("numpy._core.multiarray", "_reconstruct"): _Array,
    ("_codecs", "encode"): _encode,
}


class _BatchUnpickler(pickle._Unpickler):
    """Builds arrays, numbers, texts, lists and dictionaries, and runs nothing else that a file may ask for.

    Python's own, as the one in C takes any amount of memory that a damaged file asks for.
    """

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) in KNOWN:
            return KNOWN[module, name]
        raise pickle.UnpicklingError(f"it asks for {module}.{name}")


def _read_batch(content: bytes) -> tuple[NDArray[np.uint8], list[int]]:
    """uint8 [N, 32, 32, 3] and the labels of a batch in the format of https://www.cs.toronto.edu/~kriz/cifar.html."""
    batch = _BatchUnpickler(io.BytesIO(content), encoding="bytes").load()
    images, labels = batch[b"data"].array(), batch[b"labels"]
    labels = labels.array().tolist() if isinstance(labels, _Array) else labels
    if images.dtype != np.uint8 or images.shape != (len(labels), 3072):
        raise ValueError(f"{images.dtype} {list(images.shape)} with {len(labels)} labels")
    if not isinstance(labels, list) or not all(type(label) is int and 0 <= label < len(NAMES) for label in labels):
        raise ValueError("labels are whole numbers from 0 to 9")
    return images.reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1), labels
