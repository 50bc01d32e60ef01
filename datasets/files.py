"""Reading pictures, masks and label lists, with errors that name the file."""

import io
import re
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

IGNORE = 255
ROWS = 256  # of a picture that are converted at a time
PICTURES = (".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff")
Colour = tuple[int, int, int]


class DataError(ValueError):
    """Something is wrong with the user's data or its options; the message names the file and says what to do."""


def read_image(path: Path, content: bytes | None = None) -> NDArray[np.uint8]:
    """A picture as uint8 [H, W, 3] RGB, turned upright by its EXIF orientation.

    Grey, palette, CMYK and 16-bit pictures are converted (16 bits by dropping the lower eight), transparency is
    dropped.

    Args:
        path: of the file.
        content: the file's bytes, where they come out of an archive, say; the path is then for messages alone.

    Raises:
        DataError: if the file is missing, truncated or no picture.
    """
    image = _open(path, content)
    ImageOps.exif_transpose(image, in_place=True)
    if image.mode.startswith("I") or image.mode == "F":
        values = np.asarray(image, dtype=np.float64)
        if image.mode == "I;16" or values.max(initial=0) > 255:
            values = values / 256
        image = Image.fromarray(values.clip(0, 255).astype(np.uint8))
    try:
        return _to_rgb(image)
    except ValueError:
        raise DataError(f"{path}: pictures of mode {image.mode} cannot be converted; save it as RGB") from None


def _to_rgb(image: Image.Image) -> NDArray[np.uint8]:
    """A picture's pixels, rows by rows: the whole one converted would take three times their memory for a moment."""
    rgb = np.empty((image.height, image.width, 3), dtype=np.uint8)
    for top in range(0, image.height, ROWS):
        rows = image.crop((0, top, image.width, min(top + ROWS, image.height)))
        rgb[top : top + ROWS] = np.asarray(rows.convert("RGB"))
    return rgb


def read_mask(path: Path, colours: list[Colour] | None = None) -> NDArray[np.uint8]:
    """A mask as uint8 [H, W] of class indices, 255 where void.

    Palette and grey masks hold indices. RGB masks are looked up in `colours`; a colour that is not in it is an error.

    Raises:
        DataError: if the file is unreadable, has values above 255, or colours that no class has.
    """
    image = _open(path)
    if image.mode in ("RGB", "RGBA"):
        return _from_colours(np.asarray(image.convert("RGB")), colours, path)
    if image.mode not in ("P", "L", "1", "I", "I;16", "I;16B"):
        raise DataError(f"{path}: a mask must be an indexed, grey or RGB picture, and this one is {image.mode}")
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
    return values


def _open(path: Path, content: bytes | None = None) -> Image.Image:
    try:
        image = Image.open(path if content is None else io.BytesIO(content))
        image.load()
    except FileNotFoundError:
        raise DataError(f"{path}: no such file") from None
    except Image.DecompressionBombError as error:
        raise DataError(f"{path}: {error}") from None
    except (OSError, SyntaxError, ValueError) as error:
        reason = "not a picture" if "cannot identify" in str(error) else str(error)
        raise DataError(f"{path}: cannot be read ({reason})") from None
    return image


def _from_colours(rgb: NDArray[np.uint8], colours: list[Colour] | None, path: Path) -> NDArray[np.uint8]:
    if not colours:
        raise DataError(f'{path}: an RGB mask needs a colour for every class: write "name R G B" lines in labels.txt')
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


def default_colours(count: int) -> list[Colour]:
    """The VOC colour map: index bits spread over red, green and blue, so that neighbours differ."""
    colours = []
    for index in range(count):
        red = green = blue = 0
        value = index
        for shift in range(7, -1, -1):
            red |= (value & 1) << shift
            green |= (value >> 1 & 1) << shift
            blue |= (value >> 2 & 1) << shift
            value >>= 3
        colours.append((red, green, blue))
    return colours


def read_lines(path: Path) -> list[str]:
    """The lines of a text file in UTF-8, with or without a byte order mark.

    Raises:
        DataError: if it is in another encoding.
    """
    try:
        return path.read_text(encoding="utf-8-sig").splitlines()
    except UnicodeDecodeError:
        raise DataError(f"{path}: is not UTF-8 text; save it as UTF-8") from None


def read_labels(path: Path) -> tuple[list[str], list[Colour] | None]:
    """Class names of a labels.txt, a line each, and their colours if every line ends in "R G B".

    Raises:
        DataError: if the file is missing, empty, names a class twice, or gives colours to some classes only.
    """
    if not path.is_file():
        raise DataError(f"{path}: no such file; write one class name a line, the first being mask value 0")
    names: list[str] = []
    colours: list[Colour | None] = []
    for line in read_lines(path):
        if not line.strip():
            continue
        match = re.fullmatch(r"(.+?)[\s,]+(\d+)[\s,]+(\d+)[\s,]+(\d+)", line.strip())
        names.append(match[1] if match else line.strip())
        colours.append((int(match[2]), int(match[3]), int(match[4])) if match else None)
    if not names:
        raise DataError(f"{path}: no class names in it; write one a line, the first being mask value 0")
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise DataError(f"{path}: {', '.join(twice)} listed twice")
    if len(names) > IGNORE:
        raise DataError(f"{path}: {len(names)} classes; masks of eight bits hold 255 at most, as value 255 is void")
    if any(colour is not None and max(colour) > 255 for colour in colours):
        raise DataError(f"{path}: colours are numbers from 0 to 255")
    given = [colour for colour in colours if colour is not None]
    if given and len(given) < len(names):
        raise DataError(
            f'{path}: {len(given)} of {len(names)} classes have a colour; give "name R G B" for all or for none'
        )
    shared = sorted({colour for colour in given if given.count(colour) > 1})
    if shared:
        raise DataError(f"{path}: colour {shared[0]} stands for several classes")
    return names, given or None


def write_mask(path: Path, mask: NDArray[np.uint8], colours: list[Colour]) -> None:
    """Write class indices as a palette PNG whose palette holds the classes' colours, white for 255."""
    palette = np.zeros((256, 3), dtype=np.uint8)
    palette[: len(colours)] = colours
    palette[IGNORE] = 255
    image = Image.fromarray(mask)
    image.putpalette(palette.tobytes())
    image.save(path)
