"""VOC annotations in XML."""

import copy
import io
from collections import defaultdict
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
from PIL import Image

from datasets.detection.checks import check_detection
from datasets.detection.dataset import DetectionDataset
from datasets.detection.find import find_detection
from tests.fuzz.boxes import clean
from tests.fuzz.engine import Case, Reading, Refused, damage, pick, put_something_else
from tests.fuzz.xml_text import ENTITIES, NUMBERS, TEXTS, plain, written

NAMES = ["cat", "dog", "traffic light"]
SIZE = (20, 30)


def voc_xml(random: np.random.Generator, root: Path, structural: bool) -> Case:
    for folder in ("Annotations", "JPEGImages", "ImageSets/Main"):
        (root / folder).mkdir(parents=True)
    (root / "labels.txt").write_text("\n".join(NAMES))
    (root / "ImageSets" / "Main" / "train.txt").write_text("a\nb\n")
    for stem in "ab":
        pixels = random.integers(0, 256, (*SIZE, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(root / "JPEGImages" / f"{stem}.png")
        (root / "Annotations" / f"{stem}.xml").write_bytes(ElementTree.tostring(annotation(random, stem), "utf-8"))
    path = root / "Annotations" / "a.xml"
    harmless = False
    if not structural:
        mutation, content = damage(random, path.read_bytes(), (root / "Annotations" / "b.xml").read_bytes())
        path.write_bytes(content)
    elif random.random() < 0.08:
        mutation = put_something_else(random, path)
    else:
        mutation, content, harmless = change(random, path.read_bytes())
        path.write_bytes(content)
    return Case(mutation, [str(root)], lambda: ours(root), lambda: theirs(root), harmless)


def annotation(random: np.random.Generator, stem: str) -> ElementTree.Element:
    tree = ElementTree.Element("annotation")
    ElementTree.SubElement(tree, "folder").text = "JPEGImages"
    ElementTree.SubElement(tree, "filename").text = f"{stem}.png"
    size = ElementTree.SubElement(tree, "size")
    for tag, number in zip(("width", "height", "depth"), (SIZE[1], SIZE[0], 3), strict=True):
        ElementTree.SubElement(size, tag).text = str(number)
    for _ in range(int(random.integers(1, 5))):
        thing = ElementTree.SubElement(tree, "object")
        ElementTree.SubElement(thing, "name").text = pick(random, NAMES)
        ElementTree.SubElement(thing, "pose").text = "Left"
        for flag in ("truncated", "difficult"):
            ElementTree.SubElement(thing, flag).text = str(random.integers(2))
        box(thing, random)
        if random.random() < 0.2:
            part = ElementTree.SubElement(thing, "part")
            ElementTree.SubElement(part, "name").text = "head"
            box(part, random)
    return tree


def box(above: ElementTree.Element, random: np.random.Generator) -> None:
    left, top = random.integers(1, 25), random.integers(1, 15)
    numbers = left, top, random.integers(left + 1, 31), random.integers(top + 1, 21)
    inside = ElementTree.SubElement(above, "bndbox")
    for side, number in zip(("xmin", "ymin", "xmax", "ymax"), numbers, strict=True):
        ElementTree.SubElement(inside, side).text = str(number)


def change(random: np.random.Generator, content: bytes) -> tuple[str, bytes, bool]:
    """What was done, the XML that came of it, and whether it still means the same."""
    tree = ElementTree.fromstring(content)
    every = list(tree.iter())
    above = {child: parent for parent in every for child in parent}
    one, other = pick(random, every[1:]), pick(random, every)
    leaf = pick(random, [element for element in every if not len(element)])
    number = pick(random, [e for e in every if e.tag in ("xmin", "ymin", "xmax", "ymax", "width", "height")])
    kind = pick(random, [*KINDS])
    if kind == "remove":
        above[one].remove(one)
    elif kind == "double":
        above[one].insert(list(above[one]).index(one), copy.deepcopy(one))
    elif kind == "double with another text":
        twin = copy.deepcopy(leaf)
        twin.text = pick(random, ["1", "9", "cat", "dog"])
        above[leaf].insert(int(random.integers(2)), twin)
    elif kind == "move":
        above[one].remove(one)
        (tree if one in other.iter() or other in one.iter() else other).append(one)
    elif kind == "number":
        number.text = pick(random, NUMBERS)
    elif kind == "text":
        leaf.text = pick(random, TEXTS)
    elif kind == "swap texts":
        again = pick(random, [element for element in every if not len(element)])
        leaf.text, again.text = again.text, leaf.text
    elif kind == "rename":
        one.tag = pick(
            random, [one.tag.upper(), one.tag.title(), one.tag + "s", "x", "object", "bndbox", "name", "part"]
        )
    elif kind == "root":
        tree.tag = pick(random, ["Annotation", "annotations", "object", "root", "html"])
    elif kind == "wrap":
        outer = ElementTree.Element(pick(random, ["annotation", "annotations", "data"]))
        outer.append(tree)
        tree = outer
    elif kind == "namespace":
        one.tag = "{http://example.org/voc}" + one.tag
    elif kind == "namespace everywhere":
        tree.set("xmlns", "http://example.org/voc")
    elif kind == "tag in a text":
        leaf.append(ElementTree.Element(pick(random, ["b", "name", "xmin"])))
        leaf[0].tail = "2"
    elif kind == "nest":
        twin = copy.deepcopy(pick(random, tree.findall("object")))
        pick(random, tree.findall("object")).append(twin)
    elif kind == "shuffle objects":
        things = tree.findall("object")
        for thing in things:
            tree.remove(thing)
        tree.extend([things[index] for index in random.permutation(len(things))])
    elif kind == "shuffle sides":
        for inside in tree.iter("bndbox"):
            inside[:] = [inside[index] for index in random.permutation(4)]
    elif kind == "more tags":
        other.append(ElementTree.Element("remark")) if len(other) else tree.append(ElementTree.Element("remark"))
    elif kind == "attributes":
        one.set("verified", "yes")
    made = ElementTree.tostring(tree, "utf-8")
    if kind == "comments":
        made = made.replace(b"<object>", b"<!-- <object> --><object>").replace(b"<xmin>", b"<?x y?><xmin>")
    elif kind == "cdata":
        made = made.replace(b"<name>dog</name>", b"<name><![CDATA[dog]]></name>")
    elif kind == "spaces":
        made = made.replace(b">", b">\n\t").replace(b"</", b"  </")
    elif kind == "entities":
        made = ENTITIES + made.replace(b"<xmin>", b"<xmin>&b;")
    else:
        made = written(random, kind, made)
    return kind, made, KINDS[kind]


KINDS = {  # and whether they are harmless
    **dict.fromkeys(("remove", "double", "double with another text", "move", "swap texts", "rename", "root"), False),
    **dict.fromkeys(("number", "text", "wrap", "namespace", "namespace everywhere", "tag in a text", "nest"), False),
    **dict.fromkeys(("entities", "wrong encoding", "deep", "two documents"), False),
    **dict.fromkeys(("shuffle objects", "shuffle sides", "more tags", "attributes", "comments", "cdata"), True),
    **dict.fromkeys(("spaces", "doctype", "encoding"), True),
}


def ours(root: Path) -> Reading:
    files = find_detection("voc", "train", root)
    check_detection(files)
    samples = [DetectionDataset(files)[index] for index in range(len(files.image_paths))]
    kept = ("image", "boxes", "labels", "difficult")
    return Reading([{"id": s["id"], **{key: s[key] for key in kept}} for s in samples], files.notes)


def theirs(root: Path) -> Reading:
    samples, notes = [], []
    for stem in "ab":
        boxes, labels, difficult = [], [], []
        for name, numbers, hard in things((root / "Annotations" / f"{stem}.xml").read_bytes(), stem, notes):
            left, top, right, bottom = numbers
            corners, why = clean([left - 1, top - 1, right, bottom], [right - left, bottom - top], SIZE)
            notes += [why] if why else []
            if corners is not None:
                boxes.append(corners)
                labels.append(NAMES.index(name))
                difficult.append(hard)
        image = np.array(Image.open(io.BytesIO((root / "JPEGImages" / f"{stem}.png").read_bytes())))
        boxes = np.array(boxes, np.float32).reshape(-1, 4)
        samples.append(
            {"id": stem, "image": image, "boxes": boxes, "labels": np.array(labels), "difficult": np.array(difficult)}
        )
    return Reading(samples, notes)


def things(content: bytes, stem: str, notes: list[str]) -> list[tuple[str, list[float], bool]]:
    """Objects out of the texts of an annotation, keyed by the path of tags that leads to each."""
    texts: dict[str, list[str]] = defaultdict(list)
    numbers = iter(range(10**9))

    def gather(element: ElementTree.Element, path: str) -> None:
        waiting = [(element, path)]
        while waiting:
            one, where = waiting.pop()
            texts[where].append("".join(one.itertext()).strip() if not len(one) else "<tags>")
            for child in reversed(one):
                number = f"{next(numbers)}" if child.tag in ("object", "part") else ""
                waiting.append((child, f"{where}/{child.tag}{number}"))

    gather(ElementTree.fromstring(content), "")
    tree = ElementTree.fromstring(content)
    if tree.tag != "annotation" or any("}" in path for path in texts):
        raise Refused("another format")
    for path in texts:
        parents = "".join(letter for letter in path if not letter.isdigit()).split("/")[1:-1]
        if path.endswith("/bndbox") and parents not in (["object"], ["object", "part"]):
            raise Refused(f"a box at {path}")

    def text(path: str) -> str:
        found = texts.get(path, [""])
        if len(found) > 1 or found[0] == "<tags>":
            raise Refused(f"{path} is {found}")
        return found[0]

    file = text("/filename").replace("\\", "/").split("/")[-1]
    if file not in ("", stem) and file.rpartition(".")[0] != stem:
        raise Refused(f"for {file}")
    for tag in ("/size",):
        if len(texts.get(tag, [])) > 1:
            raise Refused("two sizes")
    sides = [text(f"/size/{tag}") for tag in ("height", "width")]
    declared = [float(side) if side and plain(side) else -1.0 for side in sides]
    if all(side > 0 and side == int(side) for side in declared if np.isfinite(side)) and np.isfinite(declared).all():
        if tuple(declared) != SIZE:
            raise Refused("another size")
    else:
        notes.append("no size")
    found = []
    for path in [path for path in texts if path.startswith("/object") and path[7:].isdigit()]:
        name = text(f"{path}/name")
        if name not in NAMES or len(texts.get(f"{path}/bndbox", [])) != 1:
            raise Refused(f"{name}, {texts.get(f'{path}/bndbox')}")
        written = [text(f"{path}/bndbox/{side}") for side in ("xmin", "ymin", "xmax", "ymax")]
        if not all(map(plain, written)):
            raise Refused(f"{written}")
        flags = [text(f"{path}/{flag}").lower() for flag in ("difficult", "truncated")]
        if not set(flags) <= {"", "0", "1", "true", "false", "unspecified"}:
            raise Refused(f"{flags}")
        found.append((name, [float(number) for number in written], flags[0] in ("1", "true")))
    return found
