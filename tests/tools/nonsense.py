"""Command lines with one nonsensical value each, made from the tools' own signatures, and what they come to."""

import dataclasses
import importlib
import inspect
import shutil
import typing
from collections.abc import Iterator
from pathlib import Path
from types import NoneType
from typing import Any, NamedTuple

import torch

from backbones import create_table
from datasets import write_shapes
from deploy.seal import ZEROS, seal
from search.configurations import layers_of
from search.latencies import LatencyTable
from search.space import Space
from tasks import (
    ClassificationSpec,
    ClassificationTask,
    DetectionSpec,
    DetectionTask,
    SegmentationSpec,
    classification_table,
)
from tasks import SegmentationTask as Segmenter
from tasks.joint.network import JointSpec
from tasks.joint.task import JointTask
from tests.conftest import ROOT, class_folders

TOOLS = [path.stem for path in sorted((ROOT / "tools").glob("[a-z]*.py")) if not path.stem.startswith("cli")]
NUMBERS = ["-3", "nan", ".nan", "inf", ".inf", "1000000000000", "0", "x", "", "[1]"]
HUGE = {"1000000000000"}
# what may be as large as one likes: a run that comes to nothing says so itself
UNLIMITED = {"lr", "backbone_lr", "weight_decay", "power", "warmup_steps", "patience"}
LONG = "x" * 300


class Case(NamedTuple):
    """One option of a tool, with the words behind it."""

    tool: str
    option: str
    words: tuple[str, ...]
    refused: bool  # what makes no sense at all, rather than little

    def line(self) -> list[str]:
        """As typed."""
        return [f"--{self.option.replace('_', '-')}", *self.words]


def options(tool: str) -> dict[str, Any]:
    """The annotation of each option of a tool, those of its dataclasses included."""
    function = getattr(importlib.import_module(f"tools.{tool}"), tool)
    found: dict[str, Any] = {}
    for name, parameter in inspect.signature(function).parameters.items():
        if dataclasses.is_dataclass(parameter.annotation):
            found = typing.get_type_hints(parameter.annotation) | found
        elif name != "config_text":
            found[name] = parameter.annotation
    return found


def cases(tool: str, folder: Path) -> Iterator[Case]:
    """Every option of a tool with every kind of nonsense of its type; `folder` is one of `prepare`."""
    for option, annotation in options(tool).items():
        kinds = [kind for kind in typing.get_args(annotation) if kind is not NoneType]
        kind = kinds[0] if NoneType in typing.get_args(annotation) else annotation
        for words, refused in _nonsense(option, kind, folder):
            yield Case(tool, option, tuple(words), refused)


def _nonsense(option: str, kind: Any, folder: Path) -> Iterator[tuple[list[str], bool]]:
    origin = typing.get_origin(kind)
    if kind in (int, float):
        for text in NUMBERS:
            yield [text], text != "0" and not (text in HUGE and option in UNLIMITED)
    elif origin in (tuple, list):
        for text in NUMBERS[:-1]:
            yield [text] * (2 if origin is tuple else 1), text != "0"
        yield ["1", "2", "x"], True
    elif kind is bool:
        yield from (([text], True) for text in ("maybe", "2", "[true]"))
    elif kind is Path:
        (folder / "file").touch()
        yield [str(folder / "file")], True
        yield [str(folder / LONG)], True
        yield [""], True
        yield [str(folder / "none")], option not in ("output", "folder", "write_layers")
    elif kind is str:
        yield from (([text], True) for text in (LONG, ""))
        yield from (([text], False) for text in ("none", "*a", "[1]"))
    elif origin is dict:
        yield from (([text], True) for text in ("x", "[1]", "{bogus: 1}", "3"))
    else:  # a Literal, or a choice between one and another type
        yield from (([text], True) for text in ("nonsense", "", "-1"))


def prepare(folder: Path) -> dict[str, list[str]]:
    """Tiny data and checkpoints, and what makes each tool end soon with them."""
    shapes, tree = folder / "shapes", folder / "tree"
    write_shapes(shapes, splits={"train": 2, "val": 1, "test": 1})
    shutil.rmtree(class_folders(shapes, tree) / "val")
    shutil.copytree(tree / "train", tree / "val")
    names = (shapes / "labels.txt").read_text().split()
    table, objects = create_table("v3-small", width=0.25), names[1:]
    classes = sorted(path.name for path in (tree / "val").iterdir())
    colours = [(0, 0, 0)] * len(names)
    tasks = {
        "seg": Segmenter(SegmentationSpec(table, "lraspp", names, colours, (64, 64))),
        "det": DetectionTask(DetectionSpec(table, "ssdlite", objects, colours[1:], (64, 64))),
        "joint": JointTask(
            JointSpec(table, "lraspp+ssdlite", names, colours, (64, 64), box_names=objects, box_colours=colours[1:])
        ),
        "cls": ClassificationTask(ClassificationSpec(table, "classifier", classes, colours[: len(classes)], (32, 32))),
    }
    for kind, task in tasks.items():
        torch.save({"state_dict": task.state_dict(), "mobiledense": task.describe()}, folder / f"{kind}.ckpt")
    image = next((shapes / "JPEGImages").glob("val*"))
    data = {
        "seg": ["--dataset", "voc", "--data-root", str(shapes)],
        "det": ["--dataset", "coco", "--data-root", str(shapes)],
        "joint": ["--dataset", "coco", "--data-root", str(shapes)],
        "cls": ["--dataset", "folder", "--data-root", str(tree)],
    }
    output = ["--output", str(folder / "output")]
    base = {"predict": ["--checkpoint", str(folder / "seg.ckpt"), "--source", str(image), *output]}
    base["export"] = ["--checkpoint", str(folder / "seg.ckpt"), "--format", "onnx", *data["seg"]]
    base["push_to_hub"] = [*base["export"][:2], "--repo", "me/net", "--folder", str(folder / "net")]
    base["benchmark"] = ["--files", str(folder / "seg.ckpt"), "--rounds", "1", *output]
    (folder / "sealed.onnx").write_text(f'"sha256": "{ZEROS}"')
    seal(folder / "sealed.onnx")
    base["serve_demo"] = ["--model", str(folder / "sealed.onnx"), "--port", "0"]
    base["cost"] = ["--backbone", "v3-small", "--width", "0.25", "--head", "lraspp", "--size", "64", "64"]
    where = ["--output", str(folder / "latency.json"), "--overwrite", "true"]
    base["latency_table"] = [*base["cost"], "--classes", "2", "--step", "1024", "--check", "0", *where]
    base["latency_table"] += ["--runtime", "onnxruntime"]
    base["check_data"] = [*data["det"], *output, "--task", "detection", "--drawn", "0"]
    write_latencies(folder / "layers.json", classification_table("v3-small", (32, 32), width=0.25), classes)
    base["search"] = ["--latency", str(folder / "layers.json"), "--target-ms", "9", "--width", "0.25", "--resume"]
    base["search"] += [
        *data["cls"],
        *output,
        "--size",
        "32",
        "32",
        "--trials",
        "1",
        "--steps",
        "1",
        "--batch-size",
        "2",
    ]
    for kind, where in data.items():
        size = ["--crop" if kind == "seg" else "--size", "64", "64"]
        quick = ["--width", "0.25", "--batch-size", "2", "--epochs", "1", "--workers", "0", "--overwrite"]
        quiet = ["--max-images", "2", "--trainer.enable_progress_bar", "false"]
        base[f"train_{kind}"] = [*where, *output, *size, *quick, *quiet]
        checkpoint = ["--checkpoint", str(folder / f"{kind}.ckpt"), "--drawn", "0", "--workers", "0"]
        base[f"eval_{kind}"] = [*where, *output, *checkpoint]
    quick = ["--steps", "1", "--batch-size", "2", "--workers", "0", "--target", "0.98", "--delta", "0.1", "--overwrite"]
    base["netadapt"] = ["--checkpoint", str(folder / "cls.ckpt"), *data["cls"], *output, *quick]
    return base


def write_latencies(path: Path, table: Any, classes: list[str]) -> None:
    """A latency table in which each layer that a search looks at first takes a hundredth of a millisecond."""
    space, colours = Space(table), [(0, 0, 0)] * len(classes)
    tables = [space.table(choices) for choices in (space.paper, space.smallest, space.largest)]
    specs = [ClassificationSpec(table, "classifier", classes, colours, (32, 32)) for table in tables]
    LatencyTable("classifier", (32, 32), "torch", 1, "none", dict.fromkeys(layers_of(specs), 0.01)).write(path)


def fault(case: Case, status: int, said: str) -> str:
    """What is wrong with how a command line ended, or nothing.

    Args:
        case: the command line.
        status: of its process.
        said: on standard error.
    """
    told = [line for line in said.splitlines() if line.startswith(f"{case.tool}.py: ")]
    if status == 0:
        return "was accepted" if case.refused else ""
    if status not in (1, 2):
        return f"ended with status {status}"
    if "Traceback" in said or "internal error" in said:
        return "is an internal error"
    if len(told) != 1:
        return f"ended with {len(told)} lines"
    named = [
        f"--{case.option.replace('_', '-')}",
        case.option.replace("_", " "),
        *filter(str.strip, case.words),
        "bogus",
    ]
    return "" if any(name in said for name in named) else "ended with a line that does not say where"
