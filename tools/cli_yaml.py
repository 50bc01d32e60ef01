"""YAML in config files and in the values of options: plain values, and nothing that runs code or expands."""

from collections import Counter
from pathlib import Path
from typing import Any

import yaml
from jsonargparse import get_loader

from datasets.faults import DataError
from datasets.files import read_bytes

LARGEST, DEEPEST = 1_000_000, 20  # characters, and mappings or lists inside one another
CLASSES = ("class_path", "init_args")  # by which jsonargparse would import any module and call what is in it


def load_plain(text: str) -> Any:
    """What YAML text says.

    Raises:
        yaml.YAMLError: if it is no YAML, or has classes, tags, aliases, endless nesting or a key twice in it.
    """
    if len(text) > LARGEST:
        raise yaml.YAMLError(f"is longer than {LARGEST:,} characters")
    depth = 0
    for event in yaml.parse(text, Loader=yaml.SafeLoader):
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        if depth > DEEPEST:
            raise yaml.YAMLError(f"has more than {DEEPEST} lists or mappings inside one another")
        if isinstance(event, yaml.AliasEvent):
            raise yaml.YAMLError(f"has an alias, *{event.anchor}; write its value out")
        if getattr(event, "tag", None) is not None:
            raise yaml.YAMLError(f"has a tag, {event.tag}; leave it out")
        if isinstance(event, yaml.ScalarEvent) and (event.value in CLASSES or "\0" in event.value):
            raise yaml.YAMLError(f"has {event.value!r} in it, which no option takes")
    _refuse_doubles(yaml.compose(text, Loader=yaml.SafeLoader))
    return get_loader("yaml")(text)


def _refuse_doubles(node: yaml.Node | None) -> None:
    """Refuse a key that a mapping has twice, of which PyYAML would take the last."""
    if isinstance(node, yaml.MappingNode):
        counts = Counter(str(key.value) for key, _ in node.value)
        if any(count > 1 for count in counts.values()):
            raise yaml.YAMLError(f"has {counts.most_common(1)[0][0]} twice; keep one")
    for entry in node.value if isinstance(node, yaml.CollectionNode) else []:
        for part in entry if isinstance(entry, tuple) else [entry]:
            _refuse_doubles(part)


class ConfigError(ValueError):
    """A config file cannot be used; the message is one line that names it."""


def read_config(path: Path) -> dict[str, Any]:
    """The options that a config file holds.

    Raises:
        ConfigError: if it is not there, no YAML in UTF-8, holds something else than options, or what `load_plain`
            refuses.
    """
    try:
        content = load_plain(read_bytes(path).decode())
    except DataError as error:
        raise ConfigError(str(error)) from None
    except UnicodeDecodeError:
        raise ConfigError(f"{path}: is not UTF-8 text; save it as UTF-8") from None
    except yaml.MarkedYAMLError as error:
        line = f", line {error.problem_mark.line + 1}" if error.problem_mark else ""
        raise ConfigError(f"{path}{line}: is not YAML ({error.problem})") from None
    except (yaml.YAMLError, ValueError) as error:  # ValueError: an integer of too many digits, say
        raise ConfigError(f"{path}: {' '.join(str(error).split())}") from None
    if not isinstance(content, dict):
        held = "nothing" if content is None else f"a {type(content).__name__}"
        raise ConfigError(f"{path}: holds {held}; write options in it, such as epochs: 20")
    return {str(key): value for key, value in content.items()}
