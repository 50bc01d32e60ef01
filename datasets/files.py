"""Reading images, masks and label lists, with errors that name the file."""

import io
import re
import stat
import zlib
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePath
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

IGNORE = 255
ROWS = 256  # of an image that are converted at a time
IMAGE_SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff")
# what a file of these names may hold; others of Pillow's decoders run programs (EPS) or take any bytes for an image
FORMATS = ("BMP", "GIF", "JPEG", "PNG", "TIFF", "WEBP")
ORIENTATION = 0x0112  # the EXIF tag
LONGEST = 1000  # characters in a line of a list
CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")  # no name has them: no text, or half of one
Colour = tuple[int, int, int]


class DataError(ValueError):
    """Something is wrong with the user's data or its options; the message names the file and says what to do."""


def one_line(text: object, most: int = 200) -> str:
    """A name or a message for a single line: control characters escaped, the middle cut beyond `most` characters."""
    line = CONTROL.sub(lambda match: ascii(match[0])[1:-1], str(text))
    return line if len(line) <= most else f"{line[: most // 2]}...{line[-most // 2 :]}"


def is_inside(name: str) -> bool:
    """Whether a name in an annotation or an archive stays in its folder: neither absolute nor with "..", and no NUL."""
    path = PurePath(name)
    return not path.anchor and ".." not in path.parts and "\0" not in name


def require_file(path: Path) -> None:
    """Refuse what is no file before it is opened: to read a pipe or a device may take for ever.

    Raises:
        DataError: if the path is missing, cannot be reached, or is a folder, pipe, socket or device.
    """
    try:
        mode = path.stat().st_mode
    except FileNotFoundError:
        raise DataError(f"{one_line(path, 1000)}: no such file") from None
    except (OSError, ValueError) as error:
        raise DataError(f"{one_line(path, 1000)}: cannot be read ({getattr(error, 'strerror', error)})") from None
    if not stat.S_ISREG(mode):
        raise DataError(f"{path}: cannot be read (it is {'a folder' if stat.S_ISDIR(mode) else 'no regular file'})")


def read_bytes(path: Path) -> bytes:
    """All of a file.

    Raises:
        DataError: if there is none, or it cannot be read.
    """
    require_file(path)
    try:
        return path.read_bytes()
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror})") from None


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
        if image.mode.startswith("I"):
            values = np.asarray(image, dtype=np.float64)
            if image.mode.startswith("I;16") or values.max(initial=0) > 255:
                values = values / 256
            image = Image.fromarray(values.clip(0, 255).astype(np.uint8))
        if image.mode == "F":  # from 0 to 1, or to 255, or to anything
            raise ValueError
        try:
            return _to_rgb(image), orientation
        except ValueError:
            raise DataError(f"{path}: images of mode {image.mode} cannot be converted; save it as RGB") from None


def _to_rgb(image: Image.Image) -> NDArray[np.uint8]:
    """An image's pixels, rows by rows: the whole one converted would take three times their memory for a moment."""
    rgb = np.empty((image.height, image.width, 3), dtype=np.uint8)
    for top in range(0, image.height, ROWS):
        rows = image.crop((0, top, image.width, min(top + ROWS, image.height)))
        rgb[top : top + ROWS] = np.asarray(rows.convert("RGB"))
    return rgb


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


@contextmanager
def _decoding(path: Path) -> Iterator[None]:
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
    """The lines of a text file in UTF-8, with or without a byte order mark, ended as on any system.

    Raises:
        DataError: if it is missing, in another encoding, or no list: with control characters or lines beyond reason.
    """
    try:
        lines = re.split("\r\n|\r|\n", read_bytes(path).decode("utf-8-sig"))
    except UnicodeDecodeError:
        raise DataError(f"{path}: is not UTF-8 text; save it as UTF-8") from None
    for number, line in enumerate(lines, start=1):
        if len(line) > LONGEST:
            raise DataError(f"{path}: line {number} has {len(line):,} characters; is this the right file?")
        if CONTROL.search(line.replace("\t", " ")):
            raise DataError(f"{path}: line {number} has control characters; save it as plain text")
    return lines


def split_colour(line: str) -> tuple[str, Colour | None]:
    """The name and the colour of a line "name R G B" of labels.txt, with spaces or commas between; or name and None."""
    match = re.fullmatch(r"(.+?)[\s,]+([0-9]+)[\s,]+([0-9]+)[\s,]+([0-9]+)[\s,]*", line.strip())
    return (match[1], (int(match[2]), int(match[3]), int(match[4]))) if match else (line.strip(), None)


def refuse_doubles(path: Path, names: list[str]) -> None:
    """Refuse class names of which one is listed twice.

    Raises:
        DataError: if so.
    """
    twice = sorted(name for name, count in Counter(names).items() if count > 1)
    if twice:
        raise DataError(f"{path}: {one_line(', '.join(twice))} listed twice")


def read_labels(path: Path) -> tuple[list[str], list[Colour] | None]:
    """Class names of a labels.txt, a line each, and their colours if every line ends in "R G B".

    Raises:
        DataError: if the file is missing, empty, names a class twice, or gives colours to some classes only.
    """
    if not path.exists():
        raise DataError(f"{path}: no such file; write one class name a line, the first being mask value 0")
    entries = [split_colour(line) for line in read_lines(path) if line.strip()]
    names = [name for name, _ in entries]
    if not names:
        raise DataError(f"{path}: no class names in it; write one a line, the first being mask value 0")
    refuse_doubles(path, names)
    if len(names) > IGNORE:
        raise DataError(f"{path}: {len(names)} classes; masks of eight bits hold 255 at most, as value 255 is void")
    given = [colour for _, colour in entries if colour is not None]
    if any(max(colour) > 255 for colour in given):
        raise DataError(f"{path}: colours are numbers from 0 to 255")
    if given and len(given) < len(names):
        raise DataError(
            f'{path}: {len(given)} of {len(names)} classes have a colour; give "name R G B" for all or for none'
        )
    shared = sorted(colour for colour, count in Counter(given).items() if count > 1)
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
