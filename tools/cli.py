"""Turns a typed function into a command: options from its signature and docstring, YAML configs, one-line errors."""

import dataclasses
import difflib
import errno
import inspect
import json
import os
import re
import sys
import threading
import traceback
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any, NoReturn

os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")

import yaml
from jsonargparse import ArgumentParser, Namespace, set_loader

import datasets

if Path(datasets.__file__ or "").resolve().parent.parent != Path(__file__).resolve().parents[1]:
    sys.exit(
        f'"import datasets" finds {datasets.__file__}, another package of that name; run the tools as '
        "python tools/<name>.py from a checkout, or uninstall the other package"
    )

from backbones.tables import BackboneError
from datasets.faults import DataError
from heads.inputs import HeadError
from tasks.errors import TaskError
from tasks.options import NOT_WRITTEN
from tools.cli_yaml import ConfigError, load_plain, read_config

NO_MEMORY = "DefaultCPUAllocator: can't allocate"  # of torch's
USER_ERRORS = (BackboneError, HeadError, DataError, TaskError)
HINTS = {
    errno.ENOSPC: "free some space, or name another folder",
    errno.EDQUOT: "free some space, or name another folder",
    errno.EACCES: "this user may not; name another place",
    errno.EPERM: "this user may not; name another place",
    errno.EROFS: "name another place",
    errno.EEXIST: "remove it, or name another place",
    errno.EISDIR: "name a file",
    errno.ENOTDIR: "name a folder",
    errno.ENAMETOOLONG: "shorten it",
}
TYPE = r"a <class '(\w+)'>|a typing\.Literal(\[.*?\])"
set_loader("plain", load_plain, (yaml.YAMLError, ValueError))


class Parser(ArgumentParser):
    """An argument parser with hyphens in options, and the nearest option for one that does not exist."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.written: dict[str, str] = {}  # config file of an option that stands in one

    def format_help(self, *args: Any, **kwargs: Any) -> str:
        text = re.sub(r"--[a-z]\w*", lambda match: match[0].replace("_", "-"), super().format_help(*args, **kwargs))
        return re.sub(r" \(type: [^)]*?, default: ", " (default: ", text)

    def options(self) -> list[str]:
        """All of them, with two hyphens and underscores."""
        return [option for action in self._actions for option in action.option_strings if option.startswith("--")]

    def check_configs(self, arguments: list[str]) -> None:
        """Refuse config files that jsonargparse would take for something else, or not say clearly what is wrong.

        Raises:
            ConfigError: for what `read_config` refuses, an option that there is not, one without a value, and one that
                a file must not say: another file, which would go unchecked, or what to do with a run's folder.
        """
        self.written = {}
        paths = [text.partition("=")[2] for text in arguments if text.startswith("--config=")]
        paths += [path for option, path in pairwise(arguments) if option == "--config"]
        for path in paths:
            for key, value in read_config(Path(path)).items():
                if "--" + key.partition(".")[0] not in self.options():
                    underscores = key.replace("-", "_")
                    hint = f"; write {underscores}" if "--" + underscores in self.options() else self.hint(key)
                    raise ConfigError(f"{path}: there is no option {key}{hint}")
                if key == "config" or (key in NOT_WRITTEN and value is not False):
                    raise ConfigError(f"{path}: has {key} in it, which only a command line can say; take it out there")
                wanted = any(action.dest == key and action.default is not None for action in self._actions)
                if value == "" or (value is None and wanted):
                    raise ConfigError(f"{path}: {key} is empty; give it a value, or leave it out")
                self.written[key] = path

    def hint(self, unknown: str) -> str:
        """The nearest option, behind a message."""
        near = difflib.get_close_matches("--" + unknown, self.options(), 1)
        return f"; did you mean {near[0].replace('_', '-')}?" if near else "; --help lists the options"

    def error(self, message: str, ex: Exception | None = None) -> NoReturn:
        unknown = re.search(r"(?:unrecognized arguments: --|Option ')(\w[\w-]*)", message, flags=re.IGNORECASE)
        hint = self.hint(unknown[1]) if unknown and "--" + unknown[1] not in self.options() else ""
        invalid = re.match(r'Parser key "([\w.]+)":', message)
        if invalid:
            details = [line.strip(" -") for line in message[invalid.end() :].splitlines() if line.strip()]
            expected = [line.rstrip(".") for line in details if line.startswith(("Expected", "Got", "Given value:"))]
            said = "; ".join(line for line in expected or details if "NoneType" not in line)
            said = re.sub(TYPE, r"\1\2", said)
            where = f"{self.written[invalid[1]]}: " if invalid[1] in self.written else ""
            message = f"{where}--{invalid[1].replace('_', '-')}: {said}"
        sys.stderr.write(f"{self.prog}: {' '.join(message.split())}{hint}\n")
        sys.exit(2)


def _fields(group: Any) -> set[str]:
    return {field.name for field in dataclasses.fields(group)}


def _complete(arguments: list[str], callables: list[Any]) -> list[str]:
    """Underscores for hyphens in names, `--flag` as `--flag=true`, and `--crop 360 480` as `--crop=[360, 480]`.

    What stands before all options are --files, for a tool that has those.

    Raises:
        ConfigError: for a value that is empty, which would be the present folder where a path is wanted.
    """
    kinds = {name: str(p.annotation) for c in callables for name, p in inspect.signature(c).parameters.items()}
    if "files" in kinds and arguments and not arguments[0].startswith("-"):
        arguments = ["--files", *arguments]
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
        if [*following, value] in ([""], ["", ""]) and (equals or following):
            raise ConfigError(f"{option} is empty; give it a value, or leave it out")
        if not equals and not following and "bool" in kinds.get(name, ""):
            equals, value = "=", "true"
        elif (
            re.search(r"\b(list|tuple|Sequence)\[", kinds.get(name, ""))
            and following
            and following[0][:1] not in ("[", "(")
        ):
            single = len(following) == 1 and "Literal" in kinds[name].replace("list[typing.Literal", "")
            texts = "[str]" in kinds[name]  # which may have any character in them
            together = json.dumps(following) if texts else f"[{', '.join(following)}]"
            equals, value, following = "=", following[0] if single else together, []
        result += [f"--{name}{equals}{value}", *following]
    return result


def _groups(function: Callable[..., Any]) -> dict[str, Any]:
    """The dataclasses among the parameters of a tool."""
    parameters = inspect.signature(function).parameters
    return {name: p.annotation for name, p in parameters.items() if dataclasses.is_dataclass(p.annotation)}


def build_parser(function: Callable[..., Any], prog: str) -> Parser:
    """A parser of a tool's options, which messages call `prog`."""
    description = (inspect.getdoc(inspect.getmodule(function)) or "").strip()
    # an abbreviated --config would go unchecked
    parser = Parser(
        prog=prog, description=description, formatter_class=_formatter(), parser_mode="plain", allow_abbrev=False
    )
    parser.add_argument("--config", action="config", help="YAML file with any of these options")
    groups = _groups(function)
    parser.add_function_arguments(function, skip={*groups, "config_text"}, as_positional=False)
    added = set(inspect.signature(function).parameters)
    for group in groups.values():
        parser.add_class_arguments(group, skip=_fields(group) & added, as_positional=False)
        added |= _fields(group)
    return parser


def command(function: Callable[..., Any], arguments: list[str] | None = None, name: str | None = None) -> Any:
    """Parse the command line into `function`'s parameters and call it.

    A parameter whose type is a dataclass becomes a group of options of its own, without a prefix, and a field that
    several of them have is one option; the parameter `config_text` is given all options as YAML. A user's mistake ends
    the command with one line and exit status 1, or 2 where it is seen while the options are parsed. What is not the
    user's has its traceback printed before that line; MOBILEDENSE_TRACEBACK=1 in the environment prints all of them.

    Args:
        function: the tool.
        arguments: by default those of the process.
        name: of the command in messages; by default that of the process.
    """
    parser = build_parser(function, name or Path(sys.argv[0]).name)
    parameters, groups = inspect.signature(function).parameters, _groups(function)
    try:
        given_here = _complete(sys.argv[1:] if arguments is None else arguments, [function, *groups.values()])
        parser.check_configs(given_here)
    except ConfigError as error:
        parser.error(str(error))
    chosen = parser.parse_args(given_here)
    values = {key: value for key, value in vars(chosen).items() if key != "config"}
    fields = set().union(*map(_fields, groups.values())) - set(parameters)
    given = {field: values.pop(field) for field in fields}
    if "config_text" in parameters:
        options = Namespace({k: v for k, v in vars(chosen).items() if k != "config"})
        values["config_text"] = parser.dump(options, skip_none=False)  # so that a resumed run sees what was not given
    threading.excepthook = _leave_to_main
    try:
        for name, group in groups.items():
            values[name] = group(**{field: given[field] for field in _fields(group) - set(parameters)})
        result = function(**values)
        sys.stdout.flush()
        return result
    except BrokenPipeError:  # whoever read our output has seen enough, such as head; Python would complain at the end
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
    except KeyboardInterrupt:
        print(f"{parser.prog}: stopped", file=sys.stderr)
        sys.exit(130)
    except Exception as error:
        line = _tell(error)
        if not line or os.environ.get("MOBILEDENSE_TRACEBACK", "0") != "0":
            traceback.print_exc()
        ours = f"internal error, {type(error).__name__}: {error}; please report it with the lines above"
        sys.exit(f"{parser.prog}: {line or ours}")


def _leave_to_main(failed: threading.ExceptHookArgs) -> None:
    """Print the traceback of a thread, but for a full disk, say, of which TensorBoard tells the main thread too."""
    if not isinstance(failed.exc_value, OSError):
        threading.__excepthook__(failed)


def _tell(error: Exception) -> str:
    """What a user is told of a mistake, or of a machine that cannot do more; nothing for an error that is ours."""
    text = str(error)
    if isinstance(error, USER_ERRORS):
        # torch puts the traceback of a loader process before the message
        return text.rpartition(f"{type(error).__name__}: ")[2] if "Original Traceback" in text else text
    if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError" or NO_MEMORY in text:
        return "out of memory; lower --batch-size, --crop, --size, --tta-scales, --width or --workers"
    if not isinstance(error, OSError):
        return ""
    if error.strerror is None or error.errno is None:
        return text
    where = f"{error.filename}: " if error.filename is not None else ""
    hint = f"; {HINTS[error.errno]}" if error.errno in HINTS else ""
    return f"{where}{error.strerror}{hint}"


def _formatter() -> Any:
    from jsonargparse import DefaultHelpFormatter

    class Formatter(DefaultHelpFormatter):
        def __init__(self, *args: Any, **kwargs: Any) -> None:
            super().__init__(*args, **{**kwargs, "max_help_position": 30})

        def _fill_text(self, text: str, width: int, indent: str) -> str:
            return "\n".join(indent + line for line in text.splitlines())

    return Formatter
