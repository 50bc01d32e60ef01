"""Reading and writing masks."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from datasets.faults import DataError
from datasets.files import IGNORE, Colour, read_bytes
from datasets.images import _decoding, _open


def read_mask(path: Path, colours: list[Colour] | None = None) -> NDArray[np.uint8]:
    """A mask as uint8 [H, W] of class indices, 255 where void, turned upright by its EXIF orientation.

    Palette and grey masks hold indices. RGB masks are looked up in `colours`; a colour that is not in it is an error.

    Raises:
        DataError: if the file is unreadable, has values above 255, or colours that no class has; if it is a JPEG, which
            changes values, or grey of 2 or 4 bits, which readers spread over 0 to 255.
    """
    return read_upright_mask(path, colours)[0]


def read_upright_mask(path: Path, colours: list[Colour] | None = None) -> tuple[NDArray[np.uint8], int]:
    """`read_mask`, and the EXIF orientation that the file has, 1 to 8 (1 is upright)."""
    with _decoding(path):
        image, orientation, stored = _open(path, read_bytes(path))
        if stored in ("JPEG", "MPO"):
            raise DataError(f"{path}: a mask in JPEG has lost its values; save it as PNG")
        if stored in ("L;2", "L;4"):
            raise DataError(
                f"{path}: a grey mask of {stored[-1]} bits; save it with 8, so that its values are the classes"
            )
        if image.mode in ("RGB", "RGBA"):
            return _from_colours(np.asarray(image.convert("RGB")), colours, path), orientation
        if image.mode not in ("P", "L", "1", "I", "I;16", "I;16B"):
            raise DataError(f"{path}: a mask must be an indexed, grey or RGB image, and this one is {image.mode}")
        values = np.asarray(image)
    if values.dtype != np.uint8:
        beyond = values[(values < 0) | (values > IGNORE)]
        if beyond.size:
            value, pixels = beyond[0], int((beyond == beyond[0]).sum())
            raise DataError(
                f"{path}: mask value {value} on {pixels:,} pixels; "
                "masks hold class indices from 0 to 254, and 255 for void"
            )
        values = values.astype(np.uint8)
    return values, orientation


def read_rgb(path: Path) -> NDArray[np.uint8]:
    """The pixels of an RGB mask, uint8 [H, W, 3].

    Raises:
        DataError: if the file is unreadable, another kind of image, a JPEG, or has an EXIF orientation.
    """
    with _decoding(path):
        image, turned, stored = _open(path, read_bytes(path))
        if turned != 1:
            raise DataError(f"{path}: has EXIF orientation {turned}, which COCO's programs ignore; save it without one")
        if stored in ("JPEG", "MPO") or image.mode not in ("RGB", "RGBA"):
            raise DataError(f"{path}: must be an RGB PNG, and this one is {image.mode} ({image.format or stored})")
        return np.asarray(image.convert("RGB"))


def _from_colours(rgb: NDArray[np.uint8], colours: list[Colour] | None, path: Path) -> NDArray[np.uint8]:
    if not colours:
        raise DataError(
            f'{path}: an RGB mask needs a colour for every class: write "name R G B" in labels.txt, without values'
        )
    packed = rgb.astype(np.uint32) @ np.array([65536, 256, 1], dtype=np.uint32)
    mask = np.full(packed.shape, IGNORE, dtype=np.uint8)
    known = np.zeros(packed.shape, dtype=bool)
    for index, (red, green, blue) in enumerate(colours):
        hit = packed == red * 65536 + green * 256 + blue
        mask[hit] = index
        known |= hit
    # white is the border of the VOC masks; it is void unless a class has it
    known |= packed == 0xFFFFFF
    if not known.all():
        values, pixels = np.unique(packed[~known], return_counts=True)
        value, most = int(values[pixels.argmax()]), int(pixels.max())
        others = f" (and {len(values) - 1} other colours)" if len(values) > 1 else ""
        raise DataError(
            f"{path}: colour {(value >> 16, value >> 8 & 255, value & 255)} on {most:,} pixels{others} is no class's; "
            'add it to labels.txt as "name R G B"'
        )
    return mask


def write_mask(path: Path, mask: NDArray[np.uint8], colours: list[Colour]) -> None:
    """Write class indices as a palette PNG whose palette holds the classes' colours, white for 255."""
    palette = np.zeros((256, 3), dtype=np.uint8)
    palette[: len(colours)] = colours
    palette[IGNORE] = 255
    image = Image.fromarray(mask)
    image.putpalette(palette.tobytes())
    image.save(path)
