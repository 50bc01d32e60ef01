"""What may befall any json: odd values in its places, and its text written in other ways."""

import copy
import json
from typing import Any

import numpy as np

from tests.fuzz.engine import pick

ODD: list[Any] = [
    *(None, True, False, "", "1", "0", "5.5", "abc", [], {}, [1], {"id": 1}, -1, 0, 1, 2, 0.0, 1.0, 0.5, 1e308, -1e308),
    *(float("nan"), float("inf"), 10**30, -(10**30), 10**400, "a" * 5000, "../b.png", "/etc/hostname", "x/../a.png"),
    *("\ud800", "a\nb", "a\0b", " ", "b.png", "./a.png", [1, 1, 5, 5], [1, 1, 5], [1, 1, 5, "5"], [1, 1, 5, True]),
    *([1, 1, 10**400, 5], [float("nan")] * 4, [-3, -3, 9, 9], [25, 15, 90, 90], [5, 5, -2, 3], [5, 5, 0, 3]),
    *([40, 40, 5, 5], [1e308, 1, 1e308, 1], [1, 1, 1e-9, 1], [[1, 1, 5, 5]]),
]

TEXT_KINDS = {  # and whether they are harmless
    **dict.fromkeys(("deep", "json of JavaScript", "trailing comma", "two documents"), False),
    **dict.fromkeys(("spaces", "encoding"), True),
}
PLACE_KINDS = dict.fromkeys(("remove a place", "odd place", "double a place", "another place's value", "wrap"), False)


def written(random: np.random.Generator, kind: str, made: Any) -> bytes:
    """A json's bytes, in a way that a kind of `TEXT_KINDS` says, or the usual one for others."""
    text = json.dumps(made, indent=2 if kind == "spaces" else None)
    coded = text.encode()
    if kind == "encoding":
        coded = text.encode(pick(random, ["utf-8-sig", "utf-16", "utf-32"]))
    elif kind == "deep":
        coded = text.replace("{", '{"deep": ' + "[" * 100_000 + "]" * 100_000 + ", ", 1).encode()
    elif kind == "json of JavaScript":
        coded = text.replace('"', "'").encode()
    elif kind == "trailing comma":
        coded = text.replace("}]", "},]").encode()
    elif kind == "two documents":
        coded *= 2
    return coded


def places(content: Any) -> list[tuple[Any, Any]]:
    """Every place of a json, as the list or object that it is in and its index or key there."""
    keys = list(content) if isinstance(content, dict) else list(range(len(content)))
    found = [(content, key) for key in keys]
    for key in keys:
        found += places(content[key]) if isinstance(content[key], dict | list) else []
    return found


def change_place(random: np.random.Generator, kind: str, content: Any) -> Any:
    """The json with what a kind of `PLACE_KINDS` says done to one of its places."""
    every = places(content)
    inside, key = pick(random, every)
    if kind == "wrap":
        return pick(random, [[content], {"content": content}, [*content], None, 5, "text", True])
    if kind == "remove a place":
        del inside[key]
    elif kind == "odd place":
        inside[key] = pick(random, ODD)
    elif kind == "double a place":
        inside, key = pick(random, [place for place in every if isinstance(place[0], list)])
        inside.insert(key, copy.deepcopy(inside[key]))
    elif kind == "another place's value":
        other, at = pick(random, every)
        inside[key] = copy.deepcopy(other[at])
    return content
