"""Images: JPEG, PNG, BMP, WebP, TIFF, and what comes under their names."""

import io
import struct
import zipfile
from pathlib import Path

import numpy as np
from PIL import Image

from datasets.classification.checks import check_classification
from datasets.classification.dataset import ClassificationDataset
from datasets.classification.find import find_files
from tests.fuzz.engine import Case, Reading, damage, pick, put_something_else
from tests.fuzz.pixels import UPRIGHT, encode, png, rgb

KINDS = {"jpg": "JPEG", "png": "PNG", "bmp": "BMP", "webp": "WEBP", "tif": "TIFF"}
MODES = {
    "JPEG": ["RGB", "L", "CMYK"],
    "PNG": ["RGB", "L", "P", "RGBA", "LA", "1", "I;16"],
    "BMP": ["RGB", "L", "P", "1"],
    "WEBP": ["RGB", "RGBA"],
    "TIFF": ["RGB", "L", "P", "RGBA", "1", "I;16", "CMYK", "F", "LAB", "I", "YCbCr"],
}


def images(random: np.random.Generator, root: Path, structural: bool) -> Case:
    suffix = pick(random, [*KINDS])
    path = root / "train" / "cat" / f"a.{suffix}"
    for folder in ("cat", "dog"):
        (root / "train" / folder).mkdir(parents=True)
    photo = noise(random)
    photo.save(root / "train" / "dog" / "b.png")
    kind = KINDS[suffix]
    content, harmless, truth = encode(photo, kind), False, None
    path.write_bytes(content)
    if not structural:
        mode = pick(random, [mode for mode in MODES[kind] if mode not in ("F", "LAB", "I", "YCbCr")])
        mutation, content = damage(random, encode(convert(photo, mode), kind), encode(noise(random), kind))
        path.write_bytes(content)
    elif random.random() < 0.08:
        mutation = put_something_else(random, path)
    else:
        mutation, content, harmless, truth = change(random, photo, kind)
        path.write_bytes(content)
    return Case(
        f"{suffix}: {mutation}", [str(path.parent)], lambda: ours(root), lambda: theirs(root, path, truth), harmless
    )


def noise(random: np.random.Generator) -> Image.Image:
    height, width = random.integers(1, 24, 2)
    return Image.fromarray(random.integers(0, 256, (height, width, 3), dtype=np.uint8))


def convert(photo: Image.Image, mode: str) -> Image.Image:
    if mode == "I;16":
        return Image.fromarray(np.asarray(photo).astype(np.uint16)[..., 0] * 257)
    if mode in ("I", "F"):
        return Image.fromarray(np.asarray(photo)[..., 0].astype(np.int32 if mode == "I" else np.float32))
    if mode == "LAB":
        return Image.frombytes("LAB", photo.size, photo.tobytes())
    return photo.convert(mode)


def change(random: np.random.Generator, photo: Image.Image, kind: str) -> tuple[str, bytes, bool, np.ndarray | None]:
    """What was done, the file that came of it, whether it is sound, and its pixels where they are known."""
    values = np.asarray(photo)
    lossless = kind in ("PNG", "BMP", "TIFF")
    what = pick(random, ["mode", "orientation", "odd orientation", "options", "shape", "two frames", "another format"])
    what = pick(random, [what, "not an image", "header of PNG", "trailing bytes", "end lost", "16 bits", "profile"])
    if what == "mode":
        mode = pick(random, MODES[kind])
        return f"mode {mode}", encode(convert(photo, mode), kind), mode not in ("F", "LAB"), None
    if what == "orientation":
        turn = int(random.integers(1, 9))
        options = {"lossless": True} if kind == "WEBP" else {}
        turned = UPRIGHT[turn](values) if lossless or options else None
        if kind == "BMP":  # has no EXIF
            turned = values
        made = encode(photo, kind, None if kind == "BMP" else turn, **options)
        return f"orientation {turn}", made, True, turned
    if what == "odd orientation":
        exif = pick(random, [0, 9, 65535])
        return f"orientation {exif}", encode(photo, kind, None if kind == "BMP" else exif), True, None
    if what == "options":
        options = {
            "JPEG": [{"progressive": True}, {"quality": 5}, {"subsampling": 0}, {"exif": random.bytes(40)}],
            "PNG": [{"optimize": True}, {"compress_level": 0}, {"exif": random.bytes(40)}],
            "TIFF": [{"compression": name} for name in ("tiff_lzw", "tiff_adobe_deflate", "packbits", "jpeg")],
            "WEBP": [{"lossless": True}, {"quality": 1}, {"exif": random.bytes(40)}],
            "BMP": [{}],
        }
        chosen = pick(random, options[kind])
        return f"options {[*chosen]}", encode(photo, kind, **chosen), "exif" not in chosen, None
    if what == "shape":
        size = pick(random, [(1, 1), (1, 3000), (3000, 1), (2, 2)])
        return f"shape {size}", encode(photo.resize(size), kind), True, None
    if what == "two frames" and kind in ("TIFF", "WEBP", "PNG"):
        frames = [Image.fromarray(255 - values)]
        return what, encode(photo, kind, save_all=True, append_images=frames), True, values if lossless else None
    if what == "another format":
        other = pick(random, ["GIF", "PPM", "TGA", "EPS", "ICO", "PCX", "JPEG2000", "PNG", "JPEG", "PDF"])
        return f"really {other}", encode(photo, other), other in ("GIF", "PNG", "JPEG"), None
    if what == "not an image":
        return (
            what,
            pick(random, [b"<html></html>", b"%PDF-1.4", archive(), b"GIF89a", b"\xff\xd8\xff\xd9", b"BM"]),
            False,
            None,
        )
    if what == "header of PNG":
        return what, odd_png(random, values), False, None
    if what == "16 bits":
        wide = random.integers(0, 2**16, values.shape[:2], dtype=np.uint16)
        upper = np.stack([(wide >> 8).astype(np.uint8)] * 3, axis=-1)
        made = pick(random, ["PNG", "TIFF"])
        order = Image.frombytes("I;16B", photo.size, wide.astype(">u2").tobytes())
        image = order if made == "TIFF" and random.random() < 0.5 else Image.fromarray(wide)
        return f"{what} in {made} {image.mode}", encode(image, made), True, upper
    if what == "profile":
        return what, encode(photo, kind, icc_profile=random.bytes(200)), True, None
    made = encode(photo, kind)
    if what == "trailing bytes":
        return what, made + random.bytes(100), True, values if lossless else None
    return what, made[: -int(random.integers(1, 20))], False, None


def odd_png(random: np.random.Generator, values: np.ndarray) -> bytes:
    """Sound checksums around a header that says something else than the rows."""
    height, width = values.shape[:2]
    rows = b"".join(b"\0" + row.tobytes() for row in values)
    sides = [(width, height), (0, height), (width, 0), (width + 1, height), (width, height + 3), (2**31 - 1, 2**31 - 1)]
    sides += [(20_000, 20_000), (width, 2**31 - 1)]
    depth, colour = pick(random, [(8, 2), (8, 2), (8, 2), (16, 2), (3, 2), (8, 3), (8, 7), (1, 0), (8, 6)])
    more = pick(random, [b"", b"", struct.pack(">I", 5) + b"tEXt" + b"a\0bcd" + b"\0\0\0\0"])
    return png(*pick(random, sides), depth, colour, rows, more, int(random.integers(2)))


def archive() -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as file:
        file.writestr("a.jpg", b"image")
    return buffer.getvalue()


def ours(root: Path) -> Reading:
    (files,) = find_files("folder", ["train"], root)
    check_classification(files)
    dataset = ClassificationDataset(files)
    samples = [dataset[index] for index in range(len(dataset))]
    return Reading([[sample["image"], sample["label"]] for sample in samples], [])


def theirs(root: Path, path: Path, truth: np.ndarray | None) -> Reading:
    first = rgb(path.read_bytes())
    if truth is not None and not np.array_equal(first, truth):
        raise AssertionError("the independent reader is wrong")
    return Reading([[first, 0], [rgb((root / "train" / "dog" / "b.png").read_bytes()), 1]], [])
