"""CIFAR-10 as archives of class folders, and as pickled batches, as they are or in an archive."""

import gzip
import io
import lzma
import os
import pickle
import sys
import tarfile
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from datasets.classification.checks import check_classification
from datasets.classification.cifar import NAMES
from datasets.classification.find import find_files
from tests.fuzz.engine import Case, Reading, Refused, damage, pick, put_something_else
from tests.fuzz.pixels import encode, rgb

PACK = {
    "": bytes,
    ".gz": lambda content: gzip.compress(content, 1),
    ".xz": lambda content: lzma.compress(content, preset=0),
}
UNPACK = {"": bytes, ".gz": gzip.decompress, ".xz": lzma.decompress}
SUBMODULE = "numpy.testing.print_coercion_tables"  # one that nothing here imports
Members = list[tuple[tarfile.TarInfo, bytes]]


def archives(random: np.random.Generator, root: Path, structural: bool) -> Case:
    return (of_batches if random.random() < 0.5 else of_folders)(random, root, structural)


def member(
    name: str, content: bytes = b"", kind: bytes = tarfile.REGTYPE, link: str = ""
) -> tuple[tarfile.TarInfo, bytes]:
    entry = tarfile.TarInfo(name)
    entry.size, entry.type, entry.linkname = len(content), kind, link
    return entry, content


def tar(members: Members, form: int = tarfile.GNU_FORMAT) -> bytes:
    """An archive whose headers may say what they like."""
    made = io.BytesIO()
    for entry, content in members:
        made.write(entry.tobuf(form, "utf-8", "surrogateescape"))
        made.write(content + bytes(-len(content) % 512))
    return made.getvalue() + bytes(1024)


# archives of class folders


def of_folders(random: np.random.Generator, root: Path, structural: bool) -> Case:
    end = pick(random, [*PACK])
    path = root / f"data.tar{end}"
    kind = pick(random, ["PNG", "JPEG"])
    members = [
        member(f"data/test/{name}/{number}.{kind.lower()}", small(random, kind))
        for name in ("cat", "dog")
        for number in range(3)
    ]
    path.write_bytes(PACK[end](tar(members)))
    harmless = False
    if not structural:
        inside = random.random() < 0.6  # of what is packed
        mutation, made = damage(random, tar(members) if inside else path.read_bytes(), b"".join(m[1] for m in members))
        path.write_bytes(PACK[end](made) if inside else made)
    elif random.random() < 0.06:
        mutation = put_something_else(random, path)
    else:
        mutation, made, harmless = change(random, members)
        path.write_bytes(PACK[end](made))
    return Case(f"tar{end}: {mutation}", [str(path)], lambda: ours(path), lambda: folders(path, end), harmless, close=3)


def small(random: np.random.Generator, kind: str, size: tuple[int, int] = (8, 8), **options: Any) -> bytes:
    values = random.integers(0, 256, (*size, 3), dtype=np.uint8)
    options |= {"quality": 95, "subsampling": 0} if kind == "JPEG" else {}
    return encode(Image.fromarray(values), kind, **options)


def change(random: np.random.Generator, members: Members) -> tuple[str, bytes, bool]:
    kind = pick(random, [*KINDS])
    place = int(random.integers(len(members)))
    entry, content = members[place]
    form = tarfile.GNU_FORMAT
    if kind == "name":
        entry.name = pick(random, ODD_NAMES)
    elif kind == "twice":
        members.append(member(entry.name, members[(place + 1) % len(members)][1]))
    elif kind == "link":
        members[place] = member(
            entry.name, b"", pick(random, [tarfile.SYMTYPE, tarfile.LNKTYPE]), members[place - 1][0].name
        )
    elif kind == "device or pipe":
        members[place] = member(
            entry.name, b"", pick(random, [tarfile.CHRTYPE, tarfile.FIFOTYPE, tarfile.BLKTYPE, b"Z"])
        )
    elif kind == "size":
        entry.size = pick(random, [0, 1, 511, 10**5, 2**27, 10**12, 2**40, 2**62])
    elif kind == "long name of any size":
        entry.name = "data/test/cat/" + "x" * 150 + ".png"
        raw = bytearray(tar(members))
        at = raw.index(b"././@LongLink")
        raw[at + 124 : at + 136] = b"77777777777\0"
        raw[at + 148 : at + 156] = b" " * 8
        raw[at + 148 : at + 156] = f"{sum(raw[at : at + 512]):06o}\0 ".encode()
        return kind, bytes(raw), False
    elif kind == "sparse":
        members[place] = member(entry.name, content, tarfile.GNUTYPE_SPARSE)
    elif kind == "remove":
        del members[place]
    elif kind == "remove a class":
        members = members[:3]
    elif kind == "another image":
        made = pick(
            random,
            [small(random, "PNG", (9, 8)), small(random, "PNG", (8, 8), orientation=6), b"", b"text", content[:-9]],
        )
        made = pick(
            random, [made, small(random, "JPEG", orientation=pick(random, [3, 6])), small(random, "JPEG") + b"more"]
        )
        members[place] = member(entry.name, made)
    elif kind == "image too large":
        members[place] = member(entry.name, small(random, "PNG", (1100, 1000)))
    elif kind == "shuffle":
        members = [members[index] for index in random.permutation(len(members))]
    elif kind == "folders and notes":
        members = [member("data/test/cat", b"", tarfile.DIRTYPE), member("data/readme.txt", b"hello"), *members]
        members.append(member("data/test/cat/._1.png", b"x"))
    elif kind == "pax":
        form = tarfile.PAX_FORMAT
        entry.name = "data/test/cat/straße" + "x" * 120 + ".png" if "/cat/" in entry.name else entry.name
    elif kind == "no end":
        return kind, tar(members)[:-1024], False
    elif kind == "nothing":
        members = []
    elif kind == "text after it":
        return kind, tar(members) + b"hello" * 200, True
    return kind, tar(members, form), KINDS[kind]


ODD_NAMES = [
    *("data/test/hen/0.png", "test/cat/9.png", "data/test/cat/../dog/9.png", "/test/cat/7.png", "x", ""),
    *("data/test/cat/a\nb.png", "../test/cat/9.png", "data/test/.x/1.png", "data/train/cat/1.png"),
    *("data/test/cat/sub/1.PNG", "data/test/cat/1.txt", "test/test/cat/1.png"),
]
KINDS = {  # and whether they are harmless
    **dict.fromkeys(("name", "twice", "link", "device or pipe", "size", "long name of any size", "sparse"), False),
    **dict.fromkeys(("remove", "remove a class", "another image", "image too large", "no end", "nothing"), False),
    **dict.fromkeys(("shuffle", "folders and notes", "pax", "text after it"), True),
}


def folders(path: Path, end: str) -> Reading:
    found: dict[str, tuple[str, np.ndarray]] = {}
    with tarfile.open(fileobj=io.BytesIO(UNPACK[end](path.read_bytes()))) as archive:
        for entry in archive.getmembers():
            steps = entry.name.split("/")
            if ".." in steps or entry.name.startswith("/") or entry.name in found:
                raise Refused(entry.name)
            sets = [place for place, step in enumerate(steps) if step in ("train", "test")]
            if not sets or steps[sets[0]] != "test" or entry.isdir():
                continue
            steps = steps[sets[0] + 1 :]
            wanted = steps[-1].lower().endswith((".png", ".jpeg", ".jpg")) and not steps[-1].startswith(".")
            if len(steps) < 2 or steps[0].startswith(".") or not wanted:
                continue
            if not entry.isreg() or entry.sparse is not None:
                raise Refused("no file")
            found[entry.name] = steps[0], rgb(archive.extractfile(entry).read())
    names = sorted({name for name, _ in found.values()})
    if len({image.shape for _, image in found.values()}) != 1 or len(names) < 2:
        raise Refused("sizes or classes")
    order = sorted(found)
    labels = np.array([names.index(found[name][0]) for name in order])
    return Reading([names, labels, np.array([found[name][1] for name in order])], [])


# pickled batches


class Harmful:
    """Runs a function, or imports a module, where a pickle is loaded with care for nothing."""

    def __init__(self, how: tuple[Any, ...]) -> None:
        self.how = how

    def __reduce__(self) -> Any:
        return self.how


def of_batches(random: np.random.Generator, root: Path, structural: bool) -> Case:
    packed = random.random() < 0.3
    content = {
        b"batch_label": b"testing batch 1 of 1",
        b"labels": [*range(10), *random.integers(0, 10, 2).tolist()],
        b"data": random.integers(0, 256, (12, 3072), dtype=np.uint8),
        b"filenames": [b"a.png"] * 12,
    }
    protocol, harmless = int(random.integers(0, 5)), False
    made = pickle.dumps(content, protocol=protocol)
    if not structural:
        mutation, made = damage(random, made[:400] if random.random() < 0.3 else made, made[::-1])
        if random.random() < 0.5:  # where the structure is, and not the pixels
            head = bytearray(pickle.dumps({**content, b"data": content[b"data"]}, protocol=protocol))
            at = int(random.integers(300)) * pick(random, [1, -1])
            head[at] = int(random.integers(256))
            mutation, made = f"byte {at}", bytes(head)
    else:
        mutation, made, harmless = other_batch(random, content, protocol)
    path = root / "data.tar.gz" if packed else root / "test_batch"
    path.write_bytes(gzip.compress(tar([member("cifar-10-batches-py/test_batch", made)]), 1) if packed else made)
    if structural and random.random() < 0.06:
        mutation, made, harmless = put_something_else(random, path), b"", False
    place = path if packed else root
    return Case(f"batch: {mutation}", [str(root)], lambda: ours(place), lambda: unpickled(made), harmless)


def other_batch(random: np.random.Generator, content: dict[bytes, Any], protocol: int) -> tuple[str, bytes, bool]:
    kind = pick(random, [*BATCHES])
    labels, data = content[b"labels"], content[b"data"]
    if kind == "a label":
        labels[int(random.integers(12))] = pick(
            random, [-1, 10, 3.0, 3.5, True, None, "3", b"3", [3], 10**30, np.int64(3), "x"]
        )
    elif kind == "labels":
        sequences = [
            labels[:-1],
            [*labels, 1],
            tuple(labels),
            "012345678901",
            b"012345678901",
            list(map(float, labels)),
        ]
        others = [None, dict.fromkeys(range(12), 1), set(range(10)), [], 5, np.array(labels, np.float32)]
        content[b"labels"] = pick(random, sequences + others)
    elif kind == "labels as an array":
        content[b"labels"] = np.array(labels, pick(random, ["<i8", ">i4", "u1"]))
    elif kind == "data":
        shapes = [data[:-1], data[:, :-1], data.reshape(12, 3, 32, 32), data[:0], data.T, np.array(5)]
        types = [data.astype(kind) for kind in (np.float32, np.int8, object, bool, "U1")]
        others = [data.tolist(), None, data.tobytes(), np.zeros((12, 3072), "u1,u1")]
        content[b"data"] = pick(random, shapes + types + others)
    elif kind == "order in memory":
        content[b"data"] = np.asfortranarray(data)
    elif kind == "part of an array":
        content[b"data"] = np.repeat(data, 2, axis=0)[::2]
    elif kind == "key":
        content = {pick(random, [key, key.decode(), key + b"s", key.upper()]): value for key, value in content.items()}
    elif kind == "remove":
        del content[pick(random, [*content])]
    elif kind == "more":
        content[b"remark"] = pick(random, [None, 1.5, "straße", [1, (2, {})], {b"a": 1}, 10**40])
    elif kind == "harmful":
        how = pick(
            random,
            [(print, ("run",)), (os.system, ("true",)), (eval, ("1",)), (np.zeros, (10**11,)), (bytearray, (10**11,))],
        )
        content[b"remark"] = Harmful(how)
    elif kind == "submodule":
        made = f"c{SUBMODULE}\n{pick(random, ['ndarray', '_reconstruct', 'dtype', 'encode', 'os'])}\n."
        return kind, made.encode(), False
    elif kind == "numpy called":
        made = pick(
            random,
            [
                b"cnumpy\nndarray\n(I99999999999\ntR.",
                b"cnumpy\ndtype\n(S'O8'\ntR.",
                b"c_codecs\nencode\n(S'a'\nS'os'\ntR.",
            ],
        )
        return kind, made, False
    elif kind == "memory asked for":
        made = pickle.dumps(content, protocol=4)
        return kind, made[:-1] + b"r" + b"\xff\xff\xff\x7f" + b".", True
    elif kind == "no dictionary":
        content = pick(random, [[content], None, 5, [*content.values()], "text"])
    elif kind == "two":
        return kind, pickle.dumps(content, protocol=protocol) * 2, True
    elif kind == "another protocol":
        protocol = 5
    return kind, pickle.dumps(content, protocol=protocol), BATCHES[kind]


BATCHES = {  # and whether they are harmless
    **dict.fromkeys(
        ("a label", "labels", "labels as an array", "data", "key", "remove", "harmful", "submodule"), False
    ),
    **dict.fromkeys(("numpy called", "no dictionary", "another protocol"), False),
    **dict.fromkeys(("order in memory", "part of an array", "more", "two", "memory asked for"), True),
}


def ours(place: Path) -> Reading:
    (files,) = find_files("cifar10", ["test"], place)
    check_classification(files)
    if SUBMODULE in sys.modules:
        raise AssertionError(f"{SUBMODULE} was imported")
    return Reading([files.names, files.labels, files.images], [])


def unpickled(made: bytes) -> Reading:
    batch = pickle._Unpickler(io.BytesIO(made), encoding="bytes").load()
    data, labels = batch[b"data"], batch[b"labels"]
    if data.dtype != np.uint8 or not all(int(label) in range(10) for label in labels):
        raise Refused(f"{data.dtype} {labels}")
    if not all(type(label) is int or isinstance(label, np.integer) for label in labels):
        raise Refused(f"{labels}")
    images = data.reshape(len(labels), 3, 32, 32).transpose(0, 2, 3, 1)
    return Reading([sorted(NAMES), np.array(labels, np.int64), images], [])
