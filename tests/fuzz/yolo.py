"""YOLO's labels: a text file an image, and the names of the classes in YAML or in a list."""

from pathlib import Path
from typing import Any

import numpy as np
import yaml
from PIL import Image

from datasets.detection.checks import check_detection
from datasets.detection.dataset import DetectionDataset
from datasets.detection.find import find_detection
from datasets.segmentation.checks import check_segmentation
from datasets.segmentation.dataset import SegmentationDataset
from datasets.segmentation.find import find_segmentation
from tests.fuzz.boxes import clean
from tests.fuzz.engine import Case, Reading, Refused, damage, pick, put_something_else
from tests.fuzz.outlines import drawn

NAMES = ["cat", "dog", "traffic light"]
SIZE = (20, 30)
SLACK = 0.01  # what the format's own program lets shares leave 0 to 1 by
NUMBERS = [
    *("-1", "-0.0", "0", "1", "2", "1.0005", "1.5", "-0.0005", "15", "1e400", "-1e400", "nan", "inf", "NaN", "abc", ""),
    *("1e-1", "5E-1", ".5", "0.", "+0.5", "0x1", "0,5", "1_0", "0.5.5", "--1", "\u0660.\u0665", "\uff10.5", "1e-30"),
    *("0." + "5" * 400, "9" * 400, "1e-400", "0.5f", "1/2", "\u22121", "50%", "true", "None"),
]
CLASSES = [
    "0",
    "1",
    "2",
    "3",
    "-1",
    "+1",
    "01",
    "1.0",
    "1e0",
    "cat",
    "",
    "\u0661",
    "\u00b2",
    "9" * 30,
    "nan",
    "0x1",
    "2 ",
]
LINES = [
    *("", "   ", "0", "# comment", "0 0.5 0.5 0.2", "0 0.5 0.5 0.2 0.2 0.9", "0 0.5 0.5 0.2 0.2 0.9 0.9 0.9", "names:"),
    *("0,0.5,0.5,0.2,0.2", "0\t0.5\t0.5\t0.2\t0.2", "0 0.5 0.5 0 0", "0 0.5 0.5 0.2 0", "0 0.5 0.5 -0.0005 0.2", "\0"),
    *("0 0.5 0.5 1e-12 0.2", "0 0 0 1 1", "0 0 0 0.01 0.01", "0 1 1 0.2 0.2", "0 0.1 0.1 0.1 0.1 0.1 0.1", "0\x0c0"),
    *(
        "0 0.1 0.1 0.5 0.1 0.5 0.5",
        "0 " + "0.5 " * 2001,
        "0 " + "0.5 0.2 " * 2000,
        "1\u00a00.5\u30000.5 0.2 0.2",
        "\ufeff",
    ),
]
YAML = [
    *("names: [cat, dog]", "names: []", "names:", "names: cat", "names: {}", "names: {0: cat, 1: dog, 2: elk}"),
    *("names: {0: cat, 1: dog, 3: elk}", "names: {'0': cat, '1': dog, '2': elk}", "names: {0: a, 0: b, 1: c, 2: d}"),
    *(
        "names: [yes, no, null]",
        "names: [1, 2.50, 0x10]",
        "names: [cat, cat, dog]",
        "names: [cat, '', dog]",
        "names: 3",
    ),
    *(
        "names: [cat, [dog], elk]",
        "x: &x [a, b, c]\nnames: *x",
        "names: [&x a, *x, b]",
        "names: &x [a, *x, b]",
        "- cat",
    ),
    *("names: [a, b, c]\nnames: [d, e, f]", "names: !!set {a, b, c}", "names: !!python/object/new:os.system [a]", "{"),
    *(
        "names: [a, b, c]\n---\nnames: [d]",
        "x: " + "[" * 2000,
        "NAMES: [a, b, c]",
        "'names': [a, b, c]",
        "? names\n: [a]",
    ),
    *(
        "names: [a, b, c]\nnc: 4",
        "nc: 3\nnames: [a, b, c]",
        "nc: 2\nnames: {0: a, 1: b}",
        "nc: x\nnames: [a]",
        "\tnames: [a]",
    ),
    *(
        "names: ['a\\nb', c]",
        "names: [ a , 'b ', c]",
        "<<: {names: [a, b, c]}",
        "names: [a, b, c] # [d]",
        "\ufeffnames: [a, b]",
    ),
]


def yolo(random: np.random.Generator, root: Path, structural: bool) -> Case:
    lines = {stem: [line(random) for _ in range(int(random.integers(1, 6)))] for stem in "ab"}
    masks = random.random() < 0.4
    if masks:  # which boxes alone are not read for
        lines["b"].append("1 0.1 0.2 0.9 0.3 0.45 0.8")
    for stem in "ab":
        for folder in ("images/train", "labels/train"):
            (root / folder).mkdir(parents=True, exist_ok=True)
        pixels = random.integers(0, 256, (*SIZE, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(root / "images" / "train" / f"{stem}.png")
        (root / "labels" / "train" / f"{stem}.txt").write_text("\n".join(lines[stem]))
    listed = random.random() < 0.3
    names = root / ("classes.txt" if listed else "data.yaml")
    names.write_text("\n".join(NAMES) if listed else yaml.safe_dump({"train": "images/train", "nc": 3, "names": NAMES}))
    of_names = random.random() < 0.2
    path, harmless = names if of_names else root / "labels" / "train" / "a.txt", False
    if not structural:
        mutation, content = damage(random, path.read_bytes(), (root / "labels" / "train" / "b.txt").read_bytes())
        path.write_bytes(content)
    elif random.random() < 0.08:
        mutation = put_something_else(random, path)
    elif of_names:
        mutation = "names"
        path.unlink()
        (root / "data.yaml").write_text(pick(random, YAML), newline=pick(random, ["\n", "\r\n"]))
    else:
        mutation, content, harmless = change(random, lines["a"])
        path.write_bytes(content)
    return Case(
        f"{path.name}: {mutation}",
        [str(root)],
        lambda: (masks_of if masks else boxes_of)(root),
        lambda: theirs(root, masks),
        harmless,
    )


def line(random: np.random.Generator) -> str:
    label = str(random.integers(len(NAMES)))
    if random.random() < 0.3:
        numbers = random.random(2 * int(random.integers(3, 7)))
    else:
        width, height = random.integers(1, 100, 2) / 100
        numbers = [
            width / 2 + (1 - width) * random.random(),
            height / 2 + (1 - height) * random.random(),
            width,
            height,
        ]
    return " ".join([label, *(f"{number:.{int(random.integers(2, 9))}f}" for number in numbers)])


def change(random: np.random.Generator, lines: list[str]) -> tuple[str, bytes, bool]:
    """What was done, the text that came of it, and whether it still means the same."""
    kind, place = pick(random, [*KINDS]), int(random.integers(len(lines)))
    fields = lines[place].split()
    if kind == "number":
        fields[int(random.integers(1, len(fields)))] = pick(random, NUMBERS)
        lines[place] = " ".join(fields)
    elif kind == "class":
        lines[place] = " ".join([pick(random, CLASSES), *fields[1:]])
    elif kind == "line":
        lines[place] = pick(random, LINES)
    elif kind == "another number":
        lines[place] += pick(random, [" 0.5", " 0.5 0.5", " 0.5 0.5 0.5", " #", " 1"])
    elif kind == "a number less":
        lines[place] = " ".join(fields[:-1])
    elif kind == "pixels":
        sides = [1, *[SIZE[1], SIZE[0]] * len(fields)]
        lines[place] = " ".join(f"{float(a) * b:g}" for a, b in zip(fields, sides, strict=False))
    elif kind == "swap numbers":
        lines[place] = " ".join(fields[index] for index in random.permutation(len(fields)))
    elif kind == "double":
        lines.append(lines[place])
    elif kind == "nothing":
        lines = []
    elif kind == "many":
        lines = [line(random) for _ in range(300)]
    elif kind == "one line":
        lines = [" ".join(lines)]
    elif kind == "order":
        lines = lines[::-1]
    elif kind == "blank lines":
        lines = [part for one in lines for part in (one, "", "  \t")]
    elif kind == "spaces":
        lines = [f"  {one} \t".replace(" ", pick(random, [" ", "  ", "\t"])) for one in lines]
    elif kind == "exponents":
        lines = [" ".join([one.split()[0], *(f"{float(number):e}" for number in one.split()[1:])]) for one in lines]
    text = pick(random, ["\r\n", "\r"]).join(lines) if kind == "line ends" else "\n".join(lines)
    text += pick(random, ["", "\n", "\n\n"])
    coding = {"byte order mark": "utf-8-sig", "utf-16": "utf-16", "utf-16 without mark": "utf-16-le"}
    return kind, text.encode(coding.get(kind, "utf-8")), KINDS[kind]


KINDS = {  # and whether they are harmless
    **dict.fromkeys(("number", "class", "line", "another number", "a number less", "pixels", "swap numbers"), False),
    **dict.fromkeys(("one line", "utf-16", "utf-16 without mark"), False),
    **dict.fromkeys(("double", "nothing", "many", "order", "blank lines", "spaces", "exponents", "line ends"), True),
    **dict.fromkeys(("byte order mark",), True),
}


def masks_of(root: Path) -> Reading:
    files = find_segmentation("yolo", "train", root)
    check_segmentation(files)
    samples = [SegmentationDataset(files)[index] for index in range(len(files.pairs))]
    return Reading([files.names[1:], [[sample["image"], sample["mask"]] for sample in samples]], files.notes)


def boxes_of(root: Path) -> Reading:
    files = find_detection("yolo", "train", root)
    check_detection(files)
    samples = [DetectionDataset(files)[index] for index in range(len(files.image_paths))]
    kept = ("id", "image", "boxes", "labels")
    return Reading([files.names, [{key: sample[key] for key in kept} for sample in samples]], files.notes)


def theirs(root: Path, masks: bool) -> Reading:
    names = names_of(root)
    samples: list[Any] = []
    notes: list[str] = []
    lengths: list[int] = []
    for stem in "ab":
        path = root / "labels" / "train" / f"{stem}.txt"
        notes += [] if path.exists() else ["no labels"]
        text = path.read_text(encoding="utf-8-sig") if path.exists() else ""
        lines = [*filter(None, (one.split() for one in text.split("\n")))]
        things = [thing(fields, len(names)) for fields in lines]
        image = np.array(Image.open(root / "images" / "train" / f"{stem}.png"))
        if masks:
            lengths += map(len, lines)
            outlines = [outline(fields, box) for fields, (_, box) in zip(lines, things, strict=True)]
            values = [value(names, label) for label, _ in things]
            samples.append([image, drawn(zip(values, outlines, strict=True), SIZE)])
            continue
        boxes, labels = [], []
        for label, corners in things:
            spans = corners[2] - corners[0], corners[3] - corners[1]
            box, why = clean([number * SIZE[1 - at % 2] for at, number in enumerate(corners)], spans, SIZE)
            notes += [why] if why else []
            if box is not None:
                boxes.append(box)
                labels.append(label)
        boxes = np.array(boxes, np.float32).reshape(-1, 4)
        samples.append({"id": stem, "image": image, "boxes": boxes, "labels": np.array(labels)})
    if lengths and max(lengths) == 5:
        raise Refused("boxes alone")
    notes += ["boxes"] if 5 in lengths else []
    return Reading([[name for name in names if name != "background"] if masks else names, samples], notes)


def value(names: list[str], label: int) -> int:
    """What a class is in a mask."""
    kept = [name for name in names if name != "background"]
    return kept.index(names[label]) + 1 if names[label] in kept else 0


def outline(fields: list[str], box: list[float]) -> list[tuple[float, float]]:
    """The corners of a polygon or a box in pixels."""
    left, top, right, bottom = box
    points = [(left, top), (right, top), (right, bottom), (left, bottom)]
    if len(fields) > 5:
        points = [*zip(map(float, fields[1::2]), map(float, fields[2::2]), strict=True)]
    return [(x * SIZE[1], y * SIZE[0]) for x, y in points]


def thing(fields: list[str], classes: int) -> tuple[int, list[float]]:
    """The class of a line and the corners of its box, in shares of width and height."""
    if not all(field.isascii() and "_" not in field for field in fields) or not fields[0].isdigit():
        raise Refused(f"{fields}")
    label, numbers = int(fields[0]), [float(field) for field in fields[1:]]
    if label >= classes or not all(-SLACK <= number <= 1 + SLACK for number in numbers):
        raise Refused(f"{fields}")
    if len(numbers) == 4:
        x, y, width, height = numbers
        return label, [x - width / 2, y - height / 2, x + width / 2, y + height / 2]
    if len(numbers) < 6 or len(numbers) % 2:
        raise Refused(f"{len(numbers)} numbers")
    across, down = numbers[::2], numbers[1::2]
    return label, [min(across), min(down), max(across), max(down)]


def names_of(root: Path) -> list[str]:
    """Names of the classes, each in its place."""
    path = root / "data.yaml"
    if path.exists():
        content: Any = yaml.load(path.read_text(encoding="utf-8-sig"), Loader=yaml.BaseLoader)  # texts alone
        names = content["names"]
        if isinstance(names, dict):
            names = [names[str(number)] for number in range(len(names))]
        if not isinstance(names, list) or content.get("nc", str(len(names))) != str(len(names)):
            raise Refused(f"{content}")
    else:
        names = (root / "classes.txt").read_text(encoding="utf-8-sig").rstrip().split("\n")
    names = [name.strip() for name in names]
    if not names or not all(names) or len({*names}) < len(names) or not all(map(printable, names)):
        raise Refused(f"{names}")
    return names


def printable(name: str) -> bool:
    return all(ord(letter) >= 32 and not 127 <= ord(letter) < 160 for letter in name)
