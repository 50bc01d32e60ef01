"""Detection trees in the VOC layout: one XML a picture, read so that all faults can be told at once."""

from collections import Counter
from dataclasses import replace
from itertools import chain
from pathlib import Path
from xml.etree.ElementTree import Element

from defusedxml import DefusedXmlException
from defusedxml.ElementTree import ParseError, parse

from datasets.detection_files import DetectionFiles, Rows, Size, counted, read_names, unlisted, upright_size
from datasets.files import PICTURES, DataError, read_lines
from datasets.segmentation import VOC_NAMES

SIDES = ("xmin", "ymin", "xmax", "ymax")
JOINED = ("pictures", "objects", "ids", "sizes", "faults", "notes", "unsound")
VOC_0712 = {"train": ("VOC2007", "VOC2012"), "val": ("VOC2007",), "test": ("VOC2007",)}


def voc_detection(root: Path, split: str) -> DetectionFiles:
    """A split of a tree with Annotations, JPEGImages and ImageSets/Main/<split>.txt.

    Classes come from labels.txt; without it, a folder named VOC20.. has VOC's 20. Tags that are missing are false.

    Raises:
        DataError: if a folder, the split's list or labels.txt is missing. Faults of single files are in `faults`.
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
    # backwards, so that of a.jpg and a.png the former is taken
    found = {path.stem: path for path in sorted(folder.iterdir(), reverse=True) if path.suffix.lower() in PICTURES}
    pictures = [found.get(stem, folder / f"{stem}.jpg") for stem in stems]
    twice = [stem for stem, count in Counter(stems).items() if count > 1]
    faults = [f"{listing}: {line}" for line in counted(twice, "name", "names", "listed more than once")]
    rows, unknown = Rows(), Counter[str]()
    sizes: list[Size | None] = [None] * len(stems)
    sizeless = []
    for index, stem in enumerate(stems):
        path = root / "Annotations" / f"{stem}.xml"
        try:
            tree = _parse(path)
        except DataError as error:
            faults.append(str(error))
            continue
        faults += _read(path, tree, index, names, rows, unknown)
        sizes[index] = _size(tree)
        if sizes[index] is None:
            sizeless.append(path.name)
    faults += unlisted(known if known.exists() else root, unknown)
    limits = [size or upright_size(picture) for size, picture in zip(sizes, pictures, strict=True)]
    written = rows.numbers()
    sources = [f"{stem}.xml" for stem in stems]
    spans = written[:, 2:] - written[:, :2]
    objects, notes, unsound = rows.objects(written - [1, 1, 0, 0], spans, limits, sources, names)
    notes += counted(sizeless, "annotation", "annotations", "without the picture's size")
    ids: list[int | str] = [*stems]
    categories = list(range(1, len(names) + 1))
    return DetectionFiles(root, split, names, pictures, objects, ids, categories, sizes, faults, notes, unsound)


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


def _parse(path: Path) -> Element:
    try:
        return parse(path).getroot()
    except FileNotFoundError:
        raise DataError(f"{path}: no such file; write one, without objects if the picture has none") from None
    except DefusedXmlException:
        raise DataError(f"{path}: declares XML entities, which can be used for attacks; remove its DOCTYPE") from None
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror})") from None
    except (ParseError, LookupError, ValueError) as error:
        raise DataError(f"{path}: is not well-formed XML ({error}); correct it or write it anew") from None


def _size(tree: Element) -> Size | None:
    try:
        height, width = (int(float(tree.findtext(f"size/{side}", ""))) for side in ("height", "width"))
    except (ValueError, OverflowError):
        return None
    return (height, width) if height > 0 and width > 0 else None


def _read(path: Path, tree: Element, index: int, names: list[str], rows: Rows, unknown: Counter[str]) -> list[str]:
    """Add the objects of an annotation to `rows`, those of other classes to `unknown`, and return the faults."""
    faults = []
    other = tree.findtext("filename", "").strip().replace("\\", "/").rsplit("/", 1)[-1]
    if other and path.stem not in (other, Path(other).stem):
        faults.append(f"{path}: is for {other} by its <filename>; give both one name, or remove the tag")
    for number, element in enumerate(tree.findall("object"), start=1):
        name = element.findtext("name", "").strip()
        box = element.find("bndbox")
        if not name or box is None:
            faults.append(f"{path}: object {number} has no {'<bndbox>' if name else '<name>'}; add or remove it")
            continue
        texts = [box.findtext(side, "").strip() for side in SIDES]
        try:
            written = tuple(float(text) for text in texts)
        except ValueError:
            given = ", ".join(f"{side} {text!r}" for side, text in zip(SIDES, texts, strict=True))
            faults.append(f"{path}: object {number} ({name}) needs a number a side, not {given}")
            continue
        if name in names:
            difficult, truncated = (_flag(element, tag) for tag in ("difficult", "truncated"))
            rows.add(index, names.index(name), written, difficult, truncated)
        else:
            unknown[name] += 1
    return faults


def _flag(element: Element, tag: str) -> bool:
    return element.findtext(tag, "").strip().lower() in ("1", "true")
