"""Reading images, upright and as RGB, with errors that name the file; and resizing."""

import io
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from datasets.faults import DataError, one_line
from datasets.files import read_bytes, require_file

ROWS = 256  # of an image that are converted at a time
# what a file of these names may hold; others of Pillow's decoders run programs (EPS) or take any bytes for an image
FORMATS = ("BMP", "GIF", "JPEG", "PNG", "TIFF", "WEBP")
ORIENTATION = 0x0112  # the EXIF tag
Size = tuple[int, int]  # height and width
MEAN = (124, 116, 104)  # ImageNet's mean colour, which fills what an augmentation leaves empty


def read_image(path: Path, content: bytes | None = None) -> NDArray[np.uint8]:
    """An image as uint8 [H, W, 3] RGB, turned upright by its EXIF orientation.

    Grey, palette, CMYK and 16-bit images are converted (16 bits by dropping the lower eight), transparency is
    dropped.

    Args:
        path: of the file.
        content: the file's bytes, where they come out of an archive, say; the path is then for messages alone.

    Raises:
        DataError: if the file is missing, truncated or no image.
    """
    return read_upright(path, content)[0]


def read_upright(path: Path, content: bytes | None = None) -> tuple[NDArray[np.uint8], int]:
    """`read_image`, and the EXIF orientation that the file has, 1 to 8 (1 is upright)."""
    with _decoding(path):
        image, orientation, _ = _open(path, read_bytes(path) if content is None else content)
        return _convert(path, image), orientation


def from_pillow(image: Image.Image, name: str) -> NDArray[np.uint8]:
    """An image of Pillow's as `read_image` gives that of a file.

    Args:
        image: of any mode, loaded or not.
        name: of it, for messages.

    Raises:
        DataError: if it cannot be read or converted, or has no pixels.
    """
    with _decoding(name):
        if 0 in image.size:
            raise DataError(f"{name}: is {image.width}x{image.height}; an image has pixels")
        return _convert(name, ImageOps.exif_transpose(image))


def _convert(name: Path | str, image: Image.Image) -> NDArray[np.uint8]:
    """uint8 [H, W, 3] of an upright image of any mode."""
    if image.mode.startswith("I"):
        values = np.asarray(image, dtype=np.float64)
        if image.mode.startswith("I;16") or values.max(initial=0) > 255:
            values = values / 256
        image = Image.fromarray(values.clip(0, 255).astype(np.uint8))
    try:
        if image.mode == "F":  # from 0 to 1, or to 255, or to anything
            raise ValueError
        return _to_rgb(image)
    except ValueError:
        raise DataError(f"{name}: images of mode {image.mode} cannot be converted; save it as RGB") from None


def _to_rgb(image: Image.Image) -> NDArray[np.uint8]:
    """An image's pixels, rows by rows: the whole one converted would take three times their memory for a moment."""
    rgb = np.empty((image.height, image.width, 3), dtype=np.uint8)
    for top in range(0, image.height, ROWS):
        rows = image.crop((0, top, image.width, min(top + ROWS, image.height)))
        rgb[top : top + ROWS] = np.asarray(rows.convert("RGB"))
    return rgb


@contextmanager
def _decoding(path: Path | str) -> Iterator[None]:
    """One line for whatever a decoder raises, as garbage trips them in any way it likes."""
    try:
        yield
    except DataError:
        raise
    except Exception as error:
        reason = "not an image" if "cannot identify" in str(error) else str(error) or type(error).__name__
        raise DataError(f"{path}: cannot be read ({one_line(reason)})") from None


def _open(path: Path, content: bytes) -> tuple[Image.Image, int, str]:
    """An upright image, its orientation in the file, and how it is stored: "JPEG", or the decoder's raw mode."""
    image = Image.open(io.BytesIO(content), formats=FORMATS)
    if image.format == "PNG":
        _require_checksums(content)
    stored: Any = image.tile[0][3] if image.tile and image.format not in ("JPEG", "MPO") else image.format
    orientation = orientation_of(image)  # before it is loaded, as TIFF's is gone afterwards
    image.load()
    if 0 in image.size:
        raise DataError(f"{path}: is {image.width}x{image.height}; an image has pixels")
    ImageOps.exif_transpose(image, in_place=True)
    return image, orientation, stored if isinstance(stored, str) else str(stored[0])


def orientation_of(image: Image.Image) -> int:
    """The EXIF orientation of an image, 1 (upright) to 8; 1 where it has none that exists."""
    orientation = image.getexif().get(ORIENTATION, 1)
    return orientation if orientation in range(1, 9) else 1


def _require_checksums(content: bytes) -> None:
    """Compare the checksums of a PNG's pixels, which Pillow does not."""
    view, place = memoryview(content), 8
    while place + 12 <= len(content):
        end = place + 8 + int.from_bytes(view[place : place + 4], "big")
        pixels = view[place + 4 : place + 8] == b"IDAT" and end + 4 <= len(content)
        if pixels and zlib.crc32(view[place + 4 : end]) != int.from_bytes(view[end : end + 4], "big"):
            raise ValueError("the checksum of its pixels is wrong")
        place = end + 4


def read_header(image_path: Path) -> tuple[Size, int] | None:
    """Height and width of an image as stored, and its EXIF orientation (1 is upright); None if it cannot be read."""
    try:
        require_file(image_path)
        with Image.open(image_path, formats=FORMATS) as image:
            return (image.height, image.width), orientation_of(image)
    except Exception:  # decoders trip over garbage in any way they like; reading the image says how
        return None


def upright_size(image: Path) -> Size | None:
    """Height and width of an image once it is turned upright by its EXIF orientation; None if it cannot be read."""
    header = read_header(image)
    if header is None:
        return None
    (height, width), orientation = header
    return (width, height) if orientation >= 5 else (height, width)


def resize_image(image: NDArray[np.uint8], size: tuple[int, int]) -> NDArray[np.uint8]:
    """Stretch an image, uint8 [H, W, 3], to a height and width: averaging where it shrinks, linear otherwise."""
    if image.shape[:2] == size:
        return image
    shrinks = image.shape[0] >= size[0] and image.shape[1] >= size[1]
    result: Any = cv2.resize(image, size[::-1], interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR)
    return result


def resize_mask(mask: NDArray[np.uint8], size: tuple[int, int]) -> NDArray[np.uint8]:
    """Stretch class indices, [H, W], to a height and width, each pixel the nearest one's."""
    result: Any = cv2.resize(mask, size[::-1], interpolation=cv2.INTER_NEAREST_EXACT)
    return result
