"""Turns a typed function into a command: options from its signature and docstring, YAML configs, one-line errors."""

import dataclasses
import difflib
import inspect
import os
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")

from jsonargparse import ArgumentParser, Namespace

import datasets

if Path(datasets.__file__ or "").resolve().parent.parent != Path(__file__).resolve().parents[1]:
    sys.exit(
        f'"import datasets" finds {datasets.__file__}, another package of that name; run the tools as '
        "python tools/<name>.py from a checkout, or uninstall the other package"
    )

from backbones import BackboneError
from datasets import DataError
from heads import HeadError
from tasks import TaskError

USER_ERRORS = (BackboneError, HeadError, DataError, TaskError, FileNotFoundError, ConnectionError)


class Parser(ArgumentParser):
    """An argument parser with hyphens in options, and the nearest option for one that does not exist."""

    def format_help(self, *args: Any, **kwargs: Any) -> str:
        text = re.sub(r"--[a-z]\w*", lambda match: match[0].replace("_", "-"), super().format_help(*args, **kwargs))
        return re.sub(r" \(type: [^)]*?, default: ", " (default: ", text)

    def error(self, message: str, ex: Exception | None = None) -> NoReturn:
        unknown = re.search(r"(?:unrecognized arguments: |Option ')-*(\w[\w-]*)", message, flags=re.IGNORECASE)
        options = [option for action in self._actions for option in action.option_strings if option.startswith("--")]
        hint = ""
        if unknown and "--" + unknown[1] not in options:
            near = difflib.get_close_matches("--" + unknown[1], options, 1)
            hint = f"; did you mean {near[0].replace('_', '-')}?" if near else "; --help lists the options"
        invalid = re.match(r'Parser key "([\w.]+)":', message)
        if invalid:
            details = [line.strip(" -") for line in message[invalid.end() :].splitlines() if line.strip()]
            expected = [line.rstrip(".") for line in details if line.startswith(("Expected", "Got", "Given value:"))]
            message = f"--{invalid[1].replace('_', '-')}: {'; '.join(expected or details)}"
        sys.stderr.write(f"{self.prog}: {message.strip()}{hint}\n")
        sys.exit(2)


def _fields(group: Any) -> set[str]:
    return {field.name for field in dataclasses.fields(group)}


def _complete(arguments: list[str], callables: list[Any]) -> list[str]:
    """Underscores for hyphens in names, `--flag` as `--flag=true`, and `--crop 360 480` as `--crop=[360, 480]`."""
    kinds = {name: str(p.annotation) for c in callables for name, p in inspect.signature(c).parameters.items()}
    result: list[str] = []
    position = 0
    while position < len(arguments):
        option, equals, value = arguments[position].partition("=")
        position += 1
        if not option.startswith("--"):
            result.append(option + equals + value)
            continue
        name = option[2:].replace("-", "_")
        following = []
        while not equals and position < len(arguments) and not arguments[position].startswith("--"):
            following.append(arguments[position])
            position += 1
        if not equals and not following and "bool" in kinds.get(name, ""):
            equals, value = "=", "true"
        elif re.search(r"\b(list|tuple|Sequence)\[", kinds.get(name, "")) and following and following[0][0] not in "[(":
            single = len(following) == 1 and "Literal" in kinds[name]
            equals, value, following = "=", following[0] if single else f"[{', '.join(following)}]", []
        result += [f"--{name}{equals}{value}", *following]
    return result


def command(function: Callable[..., Any], arguments: list[str] | None = None) -> Any:
    """Parse the command line into `function`'s parameters and call it.

    A parameter whose type is a dataclass becomes a group of options of its own, without a prefix, and a field that
    several of them have is one option; the parameter `config_text` is given all options as YAML. User errors end the
    command with one line and exit status 1.
    """
    description = (inspect.getdoc(inspect.getmodule(function)) or "").strip()
    parser = Parser(prog=Path(sys.argv[0]).name, description=description, formatter_class=_formatter())
    parser.add_argument("--config", action="config", help="YAML file with any of these options")
    parameters = inspect.signature(function).parameters
    groups: dict[str, Any] = {
        name: p.annotation for name, p in parameters.items() if dataclasses.is_dataclass(p.annotation)
    }
    parser.add_function_arguments(function, skip={*groups, "config_text"}, as_positional=False)
    added = set(parameters)
    for group in groups.values():
        parser.add_class_arguments(group, skip=_fields(group) & added, as_positional=False)
        added |= _fields(group)
    chosen = parser.parse_args(
        _complete(sys.argv[1:] if arguments is None else arguments, [function, *groups.values()])
    )
    values = {key: value for key, value in vars(chosen).items() if key != "config"}
    fields = set().union(*map(_fields, groups.values())) - set(parameters)
    given = {field: values.pop(field) for field in fields}
    if "config_text" in parameters:
        values["config_text"] = parser.dump(Namespace({k: v for k, v in vars(chosen).items() if k != "config"}))
    try:
        for name, group in groups.items():
            values[name] = group(**{field: given[field] for field in _fields(group) - set(parameters)})
        return function(**values)
    except USER_ERRORS as error:
        sys.exit(f"{parser.prog}: {error}")
    except KeyboardInterrupt:
        sys.exit(f"{parser.prog}: stopped")


def _formatter() -> Any:
    from jsonargparse import DefaultHelpFormatter

    class Formatter(DefaultHelpFormatter):
        def __init__(self, *args: Any, **kwargs: Any) -> None:
            super().__init__(*args, **{**kwargs, "max_help_position": 30})

        def _fill_text(self, text: str, width: int, indent: str) -> str:
            return "\n".join(indent + line for line in text.splitlines())

    return Formatter
