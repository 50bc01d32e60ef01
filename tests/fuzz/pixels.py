"""Images made for mutations, PNG put together by hand, and an independent reading of images by Pillow."""

import io
import struct
import zlib
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from tests.fuzz.engine import Refused

ORIENTATION = 0x0112
# how an array as stored becomes an upright one, by the table of the EXIF standard
UPRIGHT = {
    1: lambda a: a,
    2: lambda a: a[:, ::-1],
    3: lambda a: a[::-1, ::-1],
    4: lambda a: a[::-1],
    5: lambda a: a.swapaxes(0, 1),
    6: lambda a: np.rot90(a, -1),
    7: lambda a: a[::-1, ::-1].swapaxes(0, 1),
    8: lambda a: np.rot90(a),
}


def encode(image: Image.Image, kind: str, orientation: Any = None, **options: Any) -> bytes:
    """The bytes of an image's file, with an EXIF orientation where one is given."""
    if orientation is not None:
        exif = Image.Exif()
        exif[ORIENTATION] = orientation
        options["exif"] = exif.tobytes()
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def chunk(name: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))


def png(width: int, height: int, depth: int, colour: int, rows: bytes, more: bytes = b"", interlace: int = 0) -> bytes:
    """A PNG with sound checksums, whatever its header says of its rows."""
    header = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, interlace)
    body = chunk(b"IHDR", header) + more + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + body


def opened(content: bytes) -> tuple[Image.Image, int]:
    """An image as stored, and the orientation that is still to be applied to it."""
    image = Image.open(io.BytesIO(content))
    orientation = image.getexif().get(ORIENTATION, 1)
    image.load()
    if image.format == "TIFF":  # Pillow turns these itself
        return image, 1
    return image, orientation if orientation in UPRIGHT else 1


def tagged(content: bytes) -> int:
    """The EXIF orientation that a file has, 1 if it has none that exists."""
    orientation = Image.open(io.BytesIO(content)).getexif().get(ORIENTATION, 1)
    return orientation if orientation in UPRIGHT else 1


def rgb(content: bytes) -> NDArray[np.uint8]:
    """uint8 [H, W, 3] of an image's file, upright."""
    image, orientation = opened(content)
    if image.mode == "F":
        raise Refused("floats")
    values = np.asarray(image)
    if image.mode.startswith("I"):
        wide = image.mode.startswith("I;16") or values.max() > 255
        grey = np.clip(np.floor(values / 256.0) if wide else values, 0, 255).astype(np.uint8)
        values = np.stack([grey] * 3, axis=-1)
    else:
        values = np.asarray(image.convert("RGB"))
    return UPRIGHT[orientation](values)
