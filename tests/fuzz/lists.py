"""Lists of a split's names, for segmentation and for detection."""

import io
import os
from pathlib import Path

import numpy as np
from PIL import Image

from datasets.detection.checks import check_detection
from datasets.detection.dataset import DetectionDataset
from datasets.detection.find import find_detection
from datasets.segmentation.checks import check_segmentation
from datasets.segmentation.dataset import SegmentationDataset
from datasets.segmentation.find import voc_files
from tests.fuzz.engine import Case, Reading, Refused, damage, pick, put_something_else

STEMS = ["a", "b.c", "d e", "straße", "0001"]
BOX = "<bndbox><xmin>2</xmin><ymin>2</ymin><xmax>6</xmax><ymax>6</ymax></bndbox>"
ODD = [
    *(
        "",
        "a.png",
        "A",
        "missing",
        "../JPEGImages/a",
        "./a",
        "/etc/hostname",
        "sub/../a",
        "..",
        ".",
        "~",
        "a 1",
        "a -1",
    ),
    *(
        "a\0",
        "a\x0cb",
        "a\u2028a",
        "a\x85",
        "a\tb",
        "#a",
        "x" * 300,
        "x" * 5000,
        "\ufeffa",
        "a\u00a0",
        "*",
        "$HOME",
        "a,b",
    ),
    *("%s", "C:\\a", "a/", "//a", "\u0430"),
]


def lists(random: np.random.Generator, root: Path, structural: bool) -> Case:
    detect = random.random() < 0.5
    write_tree(random, root)
    path = root / "ImageSets" / ("Main" if detect else "Segmentation") / "train.txt"
    path.parent.mkdir(parents=True)
    lines = [STEMS[index] for index in random.permutation(len(STEMS))[: int(random.integers(1, 6))]]
    content, harmless = "\n".join(lines).encode(), False
    path.write_bytes(content)
    if not structural:
        mutation, content = damage(random, content, "\n".join(STEMS).encode())
        path.write_bytes(content)
    elif random.random() < 0.08:
        mutation = put_something_else(random, path)
    else:
        mutation, content, harmless = change(random, lines)
        path.write_bytes(content)
    read = of_detection if detect else of_segmentation
    return Case(mutation, [str(root)], lambda: read(root), lambda: theirs(root, path), harmless)


def write_tree(random: np.random.Generator, root: Path) -> None:
    for folder in ("JPEGImages", "SegmentationClass", "Annotations"):
        (root / folder).mkdir()
    (root / "labels.txt").write_text("sky\nroad")
    for stem in STEMS:
        pixels = random.integers(0, 256, (8, 9, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(root / "JPEGImages" / f"{stem}.png")
        Image.fromarray(pixels[..., 0] % 2).save(root / "SegmentationClass" / f"{stem}.png")
        text = f"<annotation><object><name>sky</name>{BOX}</object></annotation>"
        (root / "Annotations" / f"{stem}.xml").write_text(text)


def change(random: np.random.Generator, lines: list[str]) -> tuple[str, bytes, bool]:
    kind = pick(random, [*KINDS])
    place = int(random.integers(len(lines)))
    if kind == "odd name":
        lines[place] = pick(random, ODD)
    elif kind == "another odd name":
        lines.insert(place, pick(random, ODD))
    elif kind == "double":
        lines.append(lines[place])
    elif kind == "flags":
        lines = [f"{line} {random.integers(-1, 2)}" for line in lines]
    elif kind == "nothing":
        lines = []
    elif kind == "many":
        lines = [f"missing {number}" for number in range(2_000)]
    elif kind == "blank lines":
        lines = [part for line in lines for part in (line, "", " ")]
    elif kind == "spaces":
        lines = [f"  {line}\t" for line in lines]
    text = pick(random, ["\r\n", "\r"]).join(lines) if kind == "line ends" else "\n".join(lines)
    coding = {"byte order mark": "utf-8-sig", "utf-16": "utf-16", "latin1": "latin1"}.get(kind, "utf-8")
    return kind, text.encode(coding, "replace"), KINDS[kind]


KINDS = {  # and whether they are harmless
    **dict.fromkeys(("odd name", "another odd name", "double", "flags", "nothing", "many", "utf-16", "latin1"), False),
    **dict.fromkeys(("blank lines", "spaces", "line ends", "byte order mark"), True),
}


def of_segmentation(root: Path) -> Reading:
    files = voc_files(root, "train")
    check_segmentation(files)
    dataset = SegmentationDataset(files)
    return Reading([[Path(str(s["file"])).stem, s["image"]] for s in map(dataset.__getitem__, range(len(dataset)))], [])


def of_detection(root: Path) -> Reading:
    files = find_detection("voc", "train", root)
    check_detection(files)
    dataset = DetectionDataset(files)
    return Reading([[s["id"], s["image"]] for s in map(dataset.__getitem__, range(len(dataset)))], [])


def theirs(root: Path, path: Path) -> Reading:
    with open(path, encoding="utf-8-sig", newline=None) as file:
        stems = [line.strip() for line in file.read().split("\n") if line.strip()]
    if not stems or len(set(stems)) < len(stems):
        raise Refused(f"{stems}")
    samples = []
    for stem in stems:
        if os.path.normpath(stem) != stem or "/" in stem or stem not in STEMS:
            raise Refused(stem)
        content = (root / "JPEGImages" / f"{stem}.png").read_bytes()
        samples.append([stem, np.array(Image.open(io.BytesIO(content)))])
    return Reading(samples, [])
