"""YAML files of options, parsed as the training tools parse them, without training."""

import contextlib
import dataclasses
import functools
import importlib
import io
import re
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from datasets.faults import DataError
from tests.fuzz.engine import Case, Reading, Refused, damage, pick, put_something_else

CONFIGS = Path(__file__).resolve().parents[2] / "configs"
TOOLS = {"seg": "train_seg", "det": "train_det", "cls": "train_cls"}
ODD: list[Any] = [
    *(
        None,
        True,
        False,
        "",
        "abc",
        "5",
        "0.5",
        [],
        {},
        [1],
        [1, 2],
        [1, 2, 3],
        ["a", "b"],
        {"a": 1},
        {"class_path": "os.system"},
    ),
    *(-1, 0, 1, 2, 10**30, -(10**30), 1e308, 0.5, float("nan"), float("inf"), "\0", "a\nb", "x" * 3000, "../x", "~"),
    *(
        {"class_path": "builtins.print", "init_args": {}},
        [[1, 2], [3, 4]],
        "[1, 2",
        "{",
        "1e-3",
        "none",
        "null",
        "yes",
        "0x10",
    ),
]


def configs(random: np.random.Generator, root: Path, structural: bool) -> Case:
    source, second = (pick(random, sorted(CONFIGS.glob("*/*.yaml"))) for _ in range(2))
    path, harmless = root / "options.yaml", False
    path.write_bytes(source.read_bytes())
    if not structural:
        lines = path.read_bytes().splitlines(keepends=True)
        content = b"".join(line for line in lines if not line.startswith(b"#"))
        mutation, content = damage(random, content, second.read_bytes())
        path.write_bytes(content)
    elif random.random() < 0.06:
        mutation = put_something_else(random, path)
    else:
        mutation, content, harmless = change(random, yaml.safe_load(source.read_text()), second.read_text())
        path.write_bytes(content)
    tool = TOOLS[source.parent.name]
    return Case(
        f"{tool}: {mutation}",
        [str(path), "--", "Option '"],
        lambda: ours(tool, path),
        lambda: theirs(tool, path),
        harmless,
    )


def change(random: np.random.Generator, options: dict[str, Any], other: str) -> tuple[str, bytes, bool]:
    kind = pick(random, [*KINDS])
    key = pick(random, [*options])
    if kind == "odd value":
        options[key] = pick(random, ODD)
    elif kind == "misspelt":
        options[pick(random, [key + "s", key[1:], key.upper(), key.replace("_", "-"), "", "__class__"])] = options.pop(
            key
        )
    elif kind == "another key's value":
        options[key] = options[pick(random, [*options])]
    elif kind == "key that is no text":
        options[pick(random, [5, None, True, 1.5])] = 1
    elif kind == "remove":
        del options[key]
    elif kind == "nested":
        options = {pick(random, ["trainer", "run", "x"]): options}
    elif kind == "trainer":
        options["trainer"] = pick(random, ODD)
    elif kind == "option of the trainer":
        options["trainer"] = {pick(random, ["max_epochs", "nothing", "callbacks", ""]): pick(random, ODD)}
    elif kind == "order":
        options = dict(reversed(options.items()))
    text = yaml.safe_dump(options, sort_keys=False)
    kinds = {
        "list": "- 1\n- 2\n", "text": "hello\n", "number": "5\n", "nothing": "", "comment": "# nothing\n",
        "twice": text + f"{key}: 5\n", "object": text + f"{key}: !!python/object/apply:os.system ['true']\n",
        "unknown tag": text + f"{key}: !x 5\n", "alias": text + f"{key}: *missing\n",
        "anchor": text.replace(": ", ": &a ", 1), "merge": f"<<: {{a: 1}}\n{text}",
        "two documents": text + "---\n" + other, "tabs": text.replace(": ", ":\t"), "tab before": "\t" + text,
        "deep": text + f"{key}: " + "[" * 600 + "]" * 600 + "\n", "many aliases": bomb(text, key),
        "flow": yaml.safe_dump(options, default_flow_style=True, width=10**6), "json": str(options).replace("'", '"'),
        "line ends": text.replace("\n", "\r\n"), "comments": text.replace("\n", "  # remark\n"),
        "config in it": text + "config: options.yaml\n", "help": text + "help: true\n",
        "byte order mark": "\ufeff" + text,
    }  # fmt: skip
    text = kinds.get(kind, text)
    coding = {"utf-16": "utf-16", "latin1": "latin1"}.get(kind, "utf-8")
    return kind, (text + "# straße\n").encode(coding, "surrogatepass"), KINDS[kind]


def bomb(text: str, key: str) -> str:
    lines = ["a0: &a0 [x, x]"] + [f"a{n}: &a{n} [*a{n - 1}, *a{n - 1}]" for n in range(1, 25)]
    return text + "\n".join(lines) + f"\n{key}: *a24\n"


KINDS = {  # and whether they are harmless
    **dict.fromkeys(("odd value", "misspelt", "another key's value", "key that is no text", "remove", "nested"), False),
    **dict.fromkeys(
        ("trainer", "option of the trainer", "list", "text", "number", "nothing", "comment", "twice"), False
    ),
    **dict.fromkeys(("object", "unknown tag", "alias", "two documents", "tabs", "tab before", "deep", "json"), False),
    **dict.fromkeys(("many aliases", "merge", "config in it", "help", "utf-16", "latin1", "byte order mark"), False),
    **dict.fromkeys(("order", "flow", "line ends", "comments", "anchor"), True),
}


def ours(tool: str, path: Path) -> Reading:
    from tools.cli import command

    function = getattr(importlib.import_module(f"tools.{tool}"), tool)

    @functools.wraps(function)
    def parsed(**values: Any) -> dict[str, Any]:
        return values

    said = io.StringIO()
    try:
        with contextlib.redirect_stderr(said):
            values = command(parsed, [f"--config={path}"])
    except SystemExit as error:
        message = said.getvalue().strip() + (error.code if isinstance(error.code, str) else "")
        if "\n" in message or not message:
            raise RuntimeError(f"{error.code}, {message[:500]!r}") from error
        raise DataError(message) from error
    groups = {name: dataclasses.asdict(value) for name, value in values.items() if dataclasses.is_dataclass(value)}
    flat = {name: value for name, value in values.items() if name not in groups and name != "config_text"}
    for group in groups.values():
        flat |= {name: value for name, value in group.items() if name not in flat}
    given = yaml.safe_load(path.read_bytes())
    return Reading({key: plain(flat[key], value) for key, value in (given or {}).items()}, [])


def theirs(tool: str, path: Path) -> Reading:
    content = path.read_bytes()
    given = yaml.safe_load(content)
    if not isinstance(given, dict | None):
        raise Refused(f"{given}")
    for key in given or {}:  # YAML's rule that a key stands once, which PyYAML does not hold files to
        if len(re.findall(rf"^{re.escape(str(key))}\s*:", content.decode(), re.MULTILINE)) > 1:
            raise Refused(f"{key} twice")
    return Reading({key: plain(value, value) for key, value in (given or {}).items()}, [])


def plain(value: Any, given: Any) -> Any:
    """A parsed value as YAML would have it: texts for paths, lists for tuples, floats for numbers written as such."""
    if isinstance(value, Path):
        return str(value)
    if isinstance(given, str) and isinstance(value, int | float | None):  # a number or nothing, in quotes
        number = None if given in ("~", "null") else int(given, 16) if given.startswith("0x") else float(given)
        return given if value == number else value
    if isinstance(value, tuple | list):
        parts = given if isinstance(given, tuple | list) and len(given) == len(value) else value
        return [plain(one, other) for one, other in zip(value, parts, strict=True)]
    if isinstance(value, dict):
        return {key: plain(one, given.get(key) if isinstance(given, dict) else one) for key, one in value.items()}
    if isinstance(value, int | float) and not isinstance(value, bool):
        return float(value)
    return value
