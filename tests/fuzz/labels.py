"""labels.txt: class names, with or without colours."""

from pathlib import Path

import numpy as np

from datasets.detection.files import read_names
from datasets.files import read_labels
from tests.fuzz.engine import Case, Reading, Refused, damage, pick, put_something_else

WORDS = ["sky", "traffic light", "straße", "人", "lane 2", "road", "background", "sign-symbol", "car 1 2"]
LINES = [
    *("", "   ", "sky", "1 2 3", "1 2 3 4", ", 1 2 3", "road 256 0 0", "road 0 0 300000", "road -1 0 0", "# comment"),
    *(
        "road 1.5 2 3",
        "road \u0661 \u0662 \u0663",
        "a\tb",
        "a\x0cb",
        "a\u2028b",
        "a\x85b",
        "a\0b",
        "\ufeffx",
        "x" * 2000,
    ),
    *(
        "," * 999,
        "a" + " " * 900 + "1 2",
        "a 1 2 " + "9" * 990,
        "\u00a0",
        "\u3000sky\u3000",
        "background",
        "Sky",
        "a,1,2,3",
    ),
]


def labels(random: np.random.Generator, root: Path, structural: bool) -> Case:
    path = root / "labels.txt"
    coloured, separator = random.random() < 0.5, pick(random, [" ", ", ", "\t", ","])
    chosen = [WORDS[index] for index in random.permutation(len(WORDS))[: int(random.integers(1, 7))]]
    lines = [separator.join([name, *map(str, random.integers(0, 256, 3))]) if coloured else name for name in chosen]
    content, harmless, mutation = "\n".join(lines).encode(), False, ""
    path.write_bytes(content)
    if not structural:
        mutation, content = damage(random, content, "\n".join(WORDS).encode())
        path.write_bytes(content)
    elif random.random() < 0.08:
        mutation = put_something_else(random, path)
    else:
        mutation, content, harmless = change(random, lines)
        path.write_bytes(content)
    if random.random() < 0.5:
        return Case(mutation, [str(path)], lambda: of_masks(path), lambda: theirs(path, True), harmless)
    # a list of background alone names nothing to detect
    harmless = harmless and chosen != ["background"]
    return Case(mutation, [str(path)], lambda: Reading(read_names(path), []), lambda: theirs(path, False), harmless)


def change(random: np.random.Generator, lines: list[str]) -> tuple[str, bytes, bool]:
    kind = pick(random, [*KINDS])
    place = int(random.integers(len(lines)))
    if kind == "line":
        lines[place] = pick(random, LINES)
    elif kind == "more lines":
        lines.insert(place, pick(random, LINES))
    elif kind == "double":
        lines.append(lines[place])
    elif kind == "remove the colour":
        lines[place] = lines[place].split()[0]
    elif kind == "number":
        lines[place] += pick(random, [" 0", " 1 2 3", " 256", " x", ",,,", " 1,2"])
    elif kind == "many":
        lines = [f"class {index}" for index in range(int(random.integers(250, 260)))]
    elif kind == "very many":
        lines = [f"class {index}" for index in range(50_000)]
    elif kind == "nothing":
        lines = []
    elif kind == "blank lines":
        lines = [part for line in lines for part in (line, "", "  \t")]
    elif kind == "spaces":
        lines = [f"  {line}\t " for line in lines]
    elif kind == "order":
        lines = lines[::-1]
    text = pick(random, ["\r\n", "\r"]).join(lines) if kind == "line ends" else "\n".join(lines)
    coding = {
        "byte order mark": "utf-8-sig",
        "utf-16": "utf-16",
        "utf-16 without mark": "utf-16-le",
        "latin1": "latin1",
    }
    made = text.encode(coding.get(kind, "utf-8"), "replace")
    return kind, made, KINDS[kind]


KINDS = {  # and whether they are harmless
    **dict.fromkeys(("line", "more lines", "double", "remove the colour", "number", "many", "very many"), False),
    **dict.fromkeys(("nothing", "utf-16", "utf-16 without mark", "latin1", "order"), False),
    **dict.fromkeys(("blank lines", "spaces", "line ends", "byte order mark"), True),
}


def of_masks(path: Path) -> Reading:
    names, colours = read_labels(path)
    return Reading([names, colours], [])


def theirs(path: Path, masks: bool) -> Reading:
    names, colours = [], []
    with open(path, encoding="utf-8-sig", newline=None) as file:
        text = file.read()
    for line in text.split("\n"):
        if not line.strip():
            continue
        fields = line.replace(",", " ").split()
        name, colour = line.strip(), None
        numbers = all(field.isascii() and field.isdigit() for field in fields[-3:])
        if numbers and (len(fields) > 3 or (line.strip()[0] == "," and len(fields) == 3)):
            colour = tuple(map(int, fields[-3:]))
            for field in ("", *reversed(fields[-3:])):
                name = name.removesuffix(field).rstrip(", \t")
            name = name or line.strip()[0]
        names.append(name)
        colours.append(colour)
    if not masks and names[0] == "background":
        del names[0]
    if not names or len(set(names)) < len(names):
        raise Refused(f"{names}")
    if any(ord(letter) < 32 and letter != "\t" for name in names for letter in name):
        raise Refused("control characters")
    if not masks:
        return Reading(names, [])
    given = [colour for colour in colours if colour]
    if len(names) > 255 or len(given) not in (0, len(names)) or len(set(given)) < len(given):
        raise Refused(f"{colours}")
    if any(max(colour) > 255 for colour in given):
        raise Refused(f"{colours}")
    return Reading([names, given or None], [])
