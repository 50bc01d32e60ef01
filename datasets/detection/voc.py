"""Detection trees in the VOC layout: one XML an image, read so that all faults can be told at once."""

import os
from collections import Counter
from dataclasses import replace
from itertools import chain
from pathlib import Path
from xml.etree.ElementTree import Element

from defusedxml import DefusedXmlException
from defusedxml.ElementTree import ParseError, fromstring

from datasets.detection.files import DetectionFiles, Rows, Size, read_names, unlisted
from datasets.faults import DataError, counted, one_line
from datasets.files import IMAGE_SUFFIXES, is_inside, read_bytes, read_lines
from datasets.images import upright_size
from datasets.voc_names import VOC_NAMES

SIDES = ("xmin", "ymin", "xmax", "ymax")
JOINED = ("image_paths", "objects", "ids", "sizes", "faults", "notes", "unsound")
FLAGS = {"": False, "0": False, "false": False, "unspecified": False, "1": True, "true": True}
VOC_0712 = {"train": ("VOC2007", "VOC2012"), "val": ("VOC2007",), "test": ("VOC2007",)}


def voc_detection(root: Path, split: str) -> DetectionFiles:
    """A split of a tree with Annotations, JPEGImages and ImageSets/Main/<split>.txt.

    Classes come from labels.txt; without it, a folder named VOC20.. has VOC's 20. Flags that are missing are false. A
    tag that an annotation has twice where one is read, boxes outside of objects, namespaces and another root than
    <annotation> are faults, as part of the boxes would be overlooked.

    Raises:
        DataError: if a folder, the split's list or labels.txt is missing, or the list leads out of the tree. Faults of
            single files are in `faults`.
    """
    lists, folder = root / "ImageSets" / "Main", root / "JPEGImages"
    if not lists.is_dir():
        hint = " (--download fetches it)" if root.name in ("VOC2007", "VOC2012") else ""
        raise DataError(f"{lists}: no such folder; a VOC tree has Annotations, JPEGImages and ImageSets/Main{hint}")
    if not folder.is_dir():
        raise DataError(f"{folder}: no such folder; a VOC tree has Annotations, JPEGImages and ImageSets/Main")
    known = root / "labels.txt"
    names = VOC_NAMES[1:] if root.name.startswith("VOC20") and not known.exists() else read_names(known)
    listing = lists / f"{split}.txt"
    stems = _stems(listing, names)
    outside = [one_line(stem) for stem in stems if not is_inside(stem)]
    if outside:
        raise DataError(f"{listing}: name {outside[0]} leads out of the tree ({len(outside)} such); remove it")
    # backwards, so that of a.jpg and a.png the former is taken
    found = {
        path.stem: path for path in sorted(folder.iterdir(), reverse=True) if path.suffix.lower() in IMAGE_SUFFIXES
    }
    images = [found.get(stem, folder / f"{stem}.jpg") for stem in stems]
    twice = [str(stem) for stem, count in Counter(map(Path, stems)).items() if count > 1]  # a and ./a are one
    faults = [f"{listing}: {line}" for line in counted(twice, "name", "names", "listed more than once")]
    rows, unknown = Rows(), Counter[str]()
    sizes: list[Size | None] = [None] * len(stems)
    sizeless = []
    for index, stem in enumerate(stems):
        path = root / "Annotations" / f"{stem}.xml"
        try:
            tree = _parse(path)
            sizes[index] = _size(path, tree)
            faults += _read(path, tree, index, names, rows, unknown)
        except DataError as error:
            faults.append(str(error))
            continue
        if sizes[index] is None:
            sizeless.append(path.name)
    faults += unlisted(known if known.exists() else root, unknown)
    limits = [size or upright_size(image) for size, image in zip(sizes, images, strict=True)]
    written = rows.numbers()
    sources = [f"{stem}.xml" for stem in stems]
    spans = written[:, 2:] - written[:, :2]
    objects, notes, unsound = rows.objects(written - [1, 1, 0, 0], spans, limits, sources, names)
    notes += counted(sizeless, "annotation", "annotations", "without the image's size")
    ids: list[int | str] = [*stems]
    categories = list(range(1, len(names) + 1))
    return DetectionFiles(root, split, names, images, objects, ids, categories, sizes, faults, notes, unsound)


def voc_0712(root: Path, split: str) -> DetectionFiles:
    """VOC 07+12: "train" is trainval of VOC2007 and of VOC2012, "val" and "test" are the test split of VOC2007.

    Args:
        root: the folder VOCdevkit, which holds VOC2007 and VOC2012.
        split: train, val or test.

    Raises:
        DataError: for another split, and see `voc_detection`.
    """
    if split not in VOC_0712:
        raise DataError(f"{root}: no split {split} of VOC 07+12; there are {', '.join(VOC_0712)}")
    listed = "trainval" if split == "train" else "test"
    parts = [voc_detection(root / year, listed) for year in VOC_0712[split]]

    def joined(name: str) -> list:
        return list(chain.from_iterable(getattr(part, name) for part in parts))

    several = {name: joined(name) for name in JOINED}
    return replace(parts[0], root=root, split=split, **several)


def _stems(listing: Path, names: list[str]) -> list[str]:
    if not listing.is_file():
        of_classes = tuple(f"{name}_" for name in names)  # VOC has a list of every class beside those of the splits
        there = [path.stem for path in listing.parent.glob("*.txt") if not path.stem.startswith(of_classes)]
        raise DataError(f"{listing}: no such split; there are {', '.join(sorted(there))}")
    return [line.strip() for line in read_lines(listing) if line.strip()]


def parse_xml(path: Path) -> Element:
    """The root of an XML file.

    Raises:
        DataError: if it is missing, not well-formed, or declares entities.
    """
    content = read_bytes(path)
    try:
        tree: Element = fromstring(content)
        return tree
    except DefusedXmlException:
        raise DataError(f"{path}: declares XML entities, which can be used for attacks; remove its DOCTYPE") from None
    except (ParseError, LookupError, ValueError) as error:
        raise DataError(f"{path}: is not well-formed XML ({error}); correct it or write it anew") from None


def _parse(path: Path) -> Element:
    if not os.path.exists(path):  # False for names that no file can have, too
        raise DataError(f"{path}: no such file; write one, without objects if the image has none")
    tree = parse_xml(path)
    tags = Counter(element.tag for element in tree.iter())
    spaced = next((tag for tag in tags if tag.startswith("{")), None)
    if spaced:
        raise DataError(f"{path}: <{one_line(spaced)}> is in a namespace, and VOC's tags are not; remove xmlns")
    if tree.tag != "annotation":
        raise DataError(f"{path}: its root is <{one_line(tree.tag)}>, and VOC's is <annotation>; is it another format?")
    inside = tree.findall("object/bndbox") + tree.findall("object/part/bndbox")
    if len(inside) < tags["bndbox"]:
        raise DataError(f"{path}: has a <bndbox> that is in no <object> of <annotation>; put each into its object")
    return tree


def _text(path: Path, element: Element, tag: str) -> str:
    """The text of a tag that may be there once, without spaces around it; "" if it is not there."""
    found = element.findall(tag)
    if len(found) > 1 or (found and len(found[0])):
        what = "tags in it" if len(found) == 1 else "been written twice"
        raise DataError(f"{path}: in <{element.tag}>, <{tag}> has {what}; keep one, with text alone")
    return (found[0].text or "").strip() if found else ""


def _only(path: Path, element: Element, tag: str) -> Element | None:
    """The one tag of a name, or None."""
    found = element.findall(tag)
    if len(found) > 1:
        raise DataError(f"{path}: in <{element.tag}>, <{tag}> has been written twice; keep one")
    return found[0] if found else None


def _number(text: str) -> float:
    """A number as XML has it: Python also takes 1_0, and digits of all scripts."""
    if "_" in text or not text.isascii():
        raise ValueError
    return float(text)


def _size(path: Path, tree: Element) -> Size | None:
    size = _only(path, tree, "size")
    if size is None:
        return None
    try:
        height, width = (_number(_text(path, size, side)) for side in ("height", "width"))
    except DataError:
        raise
    except ValueError:
        return None
    sound = all(0 < side < 2**31 and side % 1 == 0 for side in (height, width))
    return (int(height), int(width)) if sound else None


def _read(path: Path, tree: Element, index: int, names: list[str], rows: Rows, unknown: Counter[str]) -> list[str]:
    """Add the objects of an annotation to `rows`, those of other classes to `unknown`, and return the faults."""
    faults = []
    other = _text(path, tree, "filename").replace("\\", "/").rsplit("/", 1)[-1]
    if other and path.stem not in (other, Path(other).stem):
        faults.append(f"{path}: is for {one_line(other)} by its <filename>; give both one name, or remove the tag")
    for number, element in enumerate(tree.findall("object"), start=1):
        try:
            name, written, difficult, truncated = _object(path, element, number)
        except DataError as error:
            faults.append(str(error))
            continue
        if name in names:
            rows.add(index, names.index(name), written, difficult, truncated)
        else:
            unknown[name] += 1
    return faults


def _object(path: Path, element: Element, number: int) -> tuple[str, tuple[float, ...], bool, bool]:
    """Name, sides as they are written, difficult and truncated of an object."""
    name, box = _text(path, element, "name"), _only(path, element, "bndbox")
    if not name or box is None:
        raise DataError(f"{path}: object {number} has no {'<bndbox>' if name else '<name>'}; add or remove it")
    texts = [_text(path, box, side) for side in SIDES]
    try:
        written = tuple(map(_number, texts))
    except ValueError:
        given = ", ".join(f"{side} {one_line(text)!r}" for side, text in zip(SIDES, texts, strict=True))
        place = f"object {number} ({one_line(name)})"
        raise DataError(f"{path}: {place} needs a number a side, not {given}") from None
    flags = [_text(path, element, tag).lower() for tag in ("difficult", "truncated")]
    if not FLAGS.keys() >= set(flags):
        raise DataError(
            f"{path}: object {number} ({one_line(name)}) is {one_line(' and '.join(flags))} by its <difficult> and "
            "<truncated>, which are 0 or 1"
        )
    return name, written, FLAGS[flags[0]], FLAGS[flags[1]]
