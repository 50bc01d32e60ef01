"""What may befall any XML: odd numbers and texts in it, and its text written in other ways."""

import numpy as np

from tests.fuzz.engine import pick

NUMBERS = [
    *(
        "-1",
        "0",
        "1",
        "31",
        "30.5",
        "1e9",
        "1e400",
        "-1e400",
        "nan",
        "inf",
        "",
        " 7 ",
        "+5",
        "abc",
        "1_0",
        "\u0663",
        "\uff11",
    ),
    *("0x10", "1,5", "True", "99999999999999999999", "1e", "--3", "5 6", "2.", ".5", "\n9\n", "\xa08"),
]
TEXTS = [
    "",
    " cat ",
    "Cat",
    "elk",
    "cat\ndog",
    "b.jpg",
    "../a",
    "0",
    "dog",
    "x" * 3000,
    "\x7f",
    "\u200bcat",
    "1",
    "yes",
]
ENTITIES = b'<!DOCTYPE x [<!ENTITY a "9"><!ENTITY b "&a;&a;">]>'


def written(random: np.random.Generator, kind: str, made: bytes) -> bytes:
    """An XML written in another way, or the same for kinds that are not of the text."""
    end = made[made.rindex(b"</") :]
    if kind == "doctype":
        made = b'<!DOCTYPE annotation SYSTEM "voc.dtd">' + made
    elif kind == "encoding":
        name = pick(random, ["utf-16", "iso-8859-1", "us-ascii", "utf-8"])
        made = f"<?xml version='1.0' encoding='{name}'?>{made.decode()}".encode(name)
    elif kind == "wrong encoding":
        made = b"<?xml version='1.0' encoding='" + pick(random, [b"utf-7", b"klingon", b"utf-16"]) + b"'?>" + made
    elif kind == "deep":
        made = made.removesuffix(end) + b"<x>" * 3_000 + b"</x>" * 3_000 + end
    elif kind == "two documents":
        made += made
    return made


def plain(text: str) -> bool:
    """Whether a text is a number that any programming language would take."""
    try:
        float(text)
    except ValueError:
        return False
    return all(letter in "+-.0123456789eEnaNAinfINFtyTY" for letter in text)
