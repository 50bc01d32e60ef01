"""Masks: indexed, grey and coloured PNG beside their images."""

from pathlib import Path

import numpy as np
from PIL import Image

from datasets.segmentation.checks import check_segmentation
from datasets.segmentation.dataset import SegmentationDataset
from datasets.segmentation.find import folder_files
from tests.fuzz.engine import Case, Reading, Refused, damage, pick, put_something_else
from tests.fuzz.pixels import UPRIGHT, encode, opened, png, rgb, tagged

NAMES = ["sky", "road", "car"]
COLOURS = [(10, 20, 30), (200, 0, 0), (0, 90, 250)]
SIZES = [(9, 13), (9, 13), (8, 8), (1, 5)]
MODES = ["P", "L", "RGB", "1", "I;16", "RGBA"]


def masks(random: np.random.Generator, root: Path, structural: bool) -> Case:
    for folder in ("images/train", "masks/train"):
        (root / folder).mkdir(parents=True)
    (root / "labels.txt").write_text(
        "\n".join(" ".join([n, *map(str, c)]) for n, c in zip(NAMES, COLOURS, strict=True))
    )
    for stem in "ab":
        height, width = pick(random, SIZES)
        pixels = random.integers(0, 256, (height, width, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(root / "images" / "train" / f"{stem}.png")
        values = random.choice(np.array([0, 1, 2, 255], np.uint8), (height, width))
        values[0, 0] = 1  # masks of 0 and 255 alone are refused
        mode = pick(random, MODES)
        (root / "masks" / "train" / f"{stem}.png").write_bytes(encode(as_mode(values, mode), "PNG"))
    path, harmless = root / "masks" / "train" / "a.png", False
    if not structural:
        mutation, content = damage(random, path.read_bytes(), (root / "masks" / "train" / "b.png").read_bytes())
        path.write_bytes(content)
    elif random.random() < 0.08:
        mutation = put_something_else(random, path)
    else:
        mutation, harmless = change(random, root, path)
    return Case(mutation, [str(root)], lambda: ours(root), lambda: theirs(root), harmless)


def as_mode(values: np.ndarray, mode: str) -> Image.Image:
    """Class indices as an image of a mode."""
    if mode in ("RGB", "RGBA"):
        table = np.full((256, 3), 255, np.uint8)
        table[: len(COLOURS)] = COLOURS
        return Image.fromarray(table[values]).convert(mode)
    if mode == "1":
        return Image.fromarray(values % 2 == 1)
    if mode == "I;16":
        return Image.fromarray(values.astype(np.uint16))
    image = Image.fromarray(values)
    if mode == "P":
        image.putpalette(bytes(range(256)) * 3)
    return image


def change(random: np.random.Generator, root: Path, path: Path) -> tuple[str, bool]:
    """Write another mask, and say what was done and whether it is sound."""
    photo = root / "images" / "train" / "a.png"
    height, width = np.asarray(Image.open(photo)).shape[:2]
    values = random.choice(np.array([0, 1, 2, 255], np.uint8), (height, width))
    mode = pick(random, MODES)
    what = pick(random, ["value", "all one value", "size", "orientation", "mode", "bits", "format", "colour", "header"])
    what = pick(random, [what, "orientation", "alpha", "palette", "interlaced", "checksum", "noise", "two frames"])
    options: dict[str, object] = {}
    harmless = what in ("palette", "alpha")
    if what == "value":
        values[-1, -1] = pick(random, [3, 4, 100, 254])
    elif what == "all one value":
        values[:] = pick(random, [0, 1, 2, 255, 3])
    elif what == "noise":
        values = random.integers(0, 256, (height, width), dtype=np.uint8)
    elif what == "size":
        values = random.integers(
            0, 3, pick(random, [(height + 1, width), (width, height), (1, 1), (height, 1)])
        ).astype(np.uint8)
    elif what == "orientation":
        return orientation(random, photo, path, as_mode(values, pick(random, ["P", "L", "RGB"])))
    elif what == "mode":
        floats = Image.fromarray(values.astype(np.float32))
        image, kind = pick(random, [(as_mode(values, "L").convert("LA"), "PNG"), (floats, "TIFF")])
        path.write_bytes(encode(image, kind))
        return f"mode {image.mode}", False
    elif what == "bits":
        depth, colour = pick(random, [(1, 0), (2, 0), (4, 0), (1, 3), (2, 3), (4, 3)])
        small = values % min(4, 2**depth)
        rows = b"".join(b"\0" + pack(row, depth) for row in small)
        palette = b"" if colour == 0 else png_palette()
        path.write_bytes(png(width, height, depth, colour, rows, palette))
        return f"{depth} bits, colour type {colour}", False
    elif what == "format":
        kind = pick(random, ["JPEG", "BMP", "GIF", "TIFF", "WEBP"])
        lossless = {"lossless": True} if kind == "WEBP" else {}
        image = as_mode(values, "RGB" if kind in ("WEBP", "JPEG") else "L")
        path.write_bytes(encode(image, kind, **lossless))
        return f"really {kind}", False
    elif what == "colour":
        image = as_mode(values, "RGB")
        image.putpixel((0, 0), pick(random, [(1, 2, 3), (10, 20, 31), (0, 0, 0)]))
        path.write_bytes(encode(image, "PNG"))
        return what, False
    elif what == "header":
        rows = b"".join(b"\0" + row.tobytes() for row in values)
        sides = pick(random, [(width + 1, height), (width, height + 1), (width, height - 1), (0, 0), (30_000, 30_000)])
        path.write_bytes(png(*sides, 8, 0, rows))
        return f"header says {sides}", False
    elif what == "alpha":
        mode = "RGBA"
    elif what == "palette":
        mode, values[0, 0] = "P", 1
    elif what == "interlaced":
        rows = b"".join(b"\0" + row.tobytes() for row in values)
        path.write_bytes(png(width, height, 8, 0, rows, interlace=1))
        return what, False
    elif what == "two frames":
        options = {"save_all": True, "append_images": [as_mode(values[::-1], "L")]}
        mode = "L"
    image = as_mode(values, mode)
    if what == "palette":
        image.putpalette(random.bytes(768))
    content = encode(image, "PNG", **options)
    if what == "checksum":
        place = content.index(b"IDAT") + 4
        content = content[: place + 8] + bytes([content[place + 8] ^ 4]) + content[place + 9 :]
    path.write_bytes(content)
    return f"{what}, mode {mode}", harmless


def orientation(random: np.random.Generator, photo: Path, path: Path, mask: Image.Image) -> tuple[str, bool]:
    turn, other = (int(random.integers(1, 9)) for _ in range(2))
    other = pick(random, [turn, 1, 1, other])
    photo.write_bytes(encode(Image.open(photo), "PNG", turn))
    if random.random() < 0.5 and turn >= 5 and other == 1:  # drawn on the upright image
        mask = mask.transpose(Image.Transpose.ROTATE_90)
    path.write_bytes(encode(mask, "PNG", None if other == 1 else other))
    return f"image turned by {turn}, mask by {other}", False


def pack(row: np.ndarray, depth: int) -> bytes:
    bits = "".join(f"{value:0{depth}b}" for value in row)
    return bytes(int(bits[place : place + 8].ljust(8, "0"), 2) for place in range(0, len(bits), 8))


def png_palette() -> bytes:
    content = encode(Image.new("P", (1, 1)), "PNG")
    start = content.index(b"PLTE") - 4
    return content[start : start + 12 + int.from_bytes(content[start : start + 4], "big")]


def ours(root: Path) -> Reading:
    files = folder_files(root, "train")
    check_segmentation(files)
    dataset = SegmentationDataset(files)
    return Reading([[dataset[index]["image"], dataset[index]["mask"]] for index in range(len(dataset))], [])


def theirs(root: Path) -> Reading:
    samples = []
    for stem in "ab":
        imaged, drawn = ((root / folder / "train" / f"{stem}.png").read_bytes() for folder in ("images", "masks"))
        image, mask = rgb(imaged), classes(drawn)
        turns = tagged(imaged), tagged(drawn)
        quarter = turns[0] >= 5 and turns[1] == 1 and image.shape[0] != image.shape[1]
        if image.shape[:2] != mask.shape or (turns[0] != turns[1] and not quarter):
            raise Refused(f"{image.shape} {mask.shape} {turns}")
        samples.append([image, mask])
    if all((mask == 255).all() or set(np.unique(mask)) == {0, 255} for _, mask in samples):
        raise Refused("void")
    return Reading(samples, [])


def classes(content: bytes) -> np.ndarray:
    """Class indices of a mask, upright."""
    image, turn = opened(content)
    values = np.asarray(image)
    if image.format == "JPEG" or (image.format == "PNG" and content[24:26] in (b"\2\0", b"\4\0")):
        raise Refused("values are lost")
    if image.mode in ("RGB", "RGBA"):
        known = {colour: index for index, colour in enumerate(COLOURS)} | {(255, 255, 255): 255}
        values = np.array([[known[tuple(map(int, pixel[:3]))] for pixel in row] for row in values])
    elif image.mode not in ("P", "L", "1", "I;16"):
        raise Refused(image.mode)
    values = np.array(values, dtype=np.int64)
    if not set(np.unique(values)) <= {0, 1, 2, 255}:
        raise Refused(f"{np.unique(values)}")
    return UPRIGHT[turn](values)
