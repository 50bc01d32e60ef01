"""MNIST's IDX files, plain and gzipped."""

import gzip
import struct
from functools import cache
from pathlib import Path

import numpy as np

from datasets.classification.checks import check_classification
from datasets.classification.find import find_files
from tests.fuzz.engine import Case, Reading, Refused, damage, pick, put_something_else

COUNT, SIDES = 6, (5, 4)


def idx(random: np.random.Generator, root: Path, structural: bool) -> Case:
    packed = random.random() < 0.5
    names = {kind: f"t10k-{kind}-ubyte" + ".gz" * packed for kind in ("images-idx3", "labels-idx1")}
    content = {
        "images-idx3": struct.pack(">4I", 0x803, COUNT, *SIDES) + random.bytes(COUNT * SIDES[0] * SIDES[1]),
        "labels-idx1": struct.pack(">2I", 0x801, COUNT) + bytes(random.integers(0, 10, COUNT, dtype=np.uint8)),
    }
    for kind, made in content.items():
        (root / names[kind]).write_bytes(gzip.compress(made) if packed else made)
    kind, other = pick(random, [("images-idx3", "labels-idx1"), ("labels-idx1", "images-idx3")])
    path, harmless = root / names[kind], False
    if not structural:
        mutation, made = damage(random, path.read_bytes(), (root / names[other]).read_bytes())
        path.write_bytes(made)
    elif random.random() < 0.08:
        mutation = put_something_else(random, path)
    else:
        mutation, made, harmless = change(random, content[kind], content[other], packed)
        path.write_bytes(made)
    return Case(mutation, [str(root)], lambda: ours(root), lambda: theirs(root, names, packed), harmless)


def change(random: np.random.Generator, content: bytes, other: bytes, packed: bool) -> tuple[str, bytes, bool]:
    kind = pick(random, [*KINDS])
    header = 16 if content[3] == 3 else 8
    if kind == "magic":
        content = struct.pack(">I", pick(random, [0x801, 0x802, 0x803, 0xD03, 0x3080000, 0, 2**32 - 1])) + content[4:]
    elif kind == "a side":
        place = 4 * int(random.integers(1, header // 4))
        side = pick(random, [0, 1, 2, 3, 5, 6, 7, 20, 2**16, 2**31, 2**32 - 1])
        content = content[:place] + struct.pack(">I", side) + content[place + 4 :]
    elif kind == "sides exchanged":
        content = content[:8] + content[8:header][::-1] + content[header:]
    elif kind == "other sides":
        sides = pick(random, [(4, 5), (20, 1), (1, 20), (10, 2)])
        content = content[:8] + struct.pack(">2I", *sides) + content[16:] if header == 16 else content
    elif kind == "fewer":
        count = int(random.integers(0, COUNT))
        each = SIDES[0] * SIDES[1] if header == 16 else 1
        content = content[:4] + struct.pack(">I", count) + content[8 : header + count * each]
    elif kind == "bytes of another order":
        content = content[:header][::-1] + content[header:]
    elif kind == "values":
        content = content[:header] + random.bytes(len(content) - header)
    elif kind == "order of values":
        content = content[:header] + content[header:][::-1]
    elif kind == "cut":
        content = content[: int(random.integers(len(content)))]
    elif kind == "trailing bytes":
        content += random.bytes(int(random.integers(1, 9)))
    elif kind == "the other file":
        content = other
    elif kind == "huge":
        return kind, huge(packed), False
    if kind == "wrapped wrongly":
        made = content if packed else gzip.compress(content)
    elif kind == "wrapped twice":
        made = gzip.compress(gzip.compress(content))
    elif kind == "two members" and packed:
        made = gzip.compress(content[:9]) + gzip.compress(content[9:])
    elif kind == "another compression" and packed:
        made = gzip.compress(content, int(random.integers(10)))
    elif kind == "text after it" and packed:
        made = gzip.compress(content) + b"hello"
    else:
        made = gzip.compress(content) if packed else content
    return kind, made, KINDS[kind]


KINDS = {  # and whether they are harmless
    **dict.fromkeys(("magic", "a side", "sides exchanged", "other sides", "fewer", "bytes of another order"), False),
    **dict.fromkeys(("values", "order of values", "cut", "trailing bytes", "the other file", "huge"), False),
    **dict.fromkeys(("wrapped wrongly", "wrapped twice", "text after it"), False),
    **dict.fromkeys(("two members", "another compression"), True),
}


@cache
def huge(packed: bool) -> bytes:
    """A header of 400 MB of images, and zeros: 400 kB if they are gzipped."""
    header = struct.pack(">4I", 0x803, 4000, 1000, 100)
    return gzip.compress(header + bytes(400_000_000), 1) if packed else header + bytes(1000)


def ours(root: Path) -> Reading:
    (files,) = find_files("mnist", ["test"], root)
    check_classification(files)
    return Reading([files.images, files.labels], [])


def theirs(root: Path, names: dict[str, str], packed: bool) -> Reading:
    parts = []
    for name in names.values():
        with gzip.open(root / name) if packed else open(root / name, "rb") as file:
            zero, kind, dimensions = struct.unpack(">HBB", file.read(4))
            sides = struct.unpack(f">{dimensions}I", file.read(4 * dimensions))
            values = np.array(list(file.read()), np.uint8).reshape(sides)
        if (zero, kind, dimensions) != (0, 8, 3 if "images" in name else 1) or 0 in sides:
            raise Refused(f"{name}: {zero} {kind} {sides}")
        parts.append(values)
    if len(parts[0]) != len(parts[1]) or parts[1].max() > 9:
        raise Refused("counts or labels")
    return Reading([np.stack([parts[0]] * 3, axis=-1), parts[1].astype(np.int64)], [])
