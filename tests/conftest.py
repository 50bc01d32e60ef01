import functools
import importlib
import os
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")
ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="session")
def shapes(tmp_path_factory) -> Path:
    """A small Shapes tree."""
    from datasets import write_shapes

    root = tmp_path_factory.mktemp("data") / "shapes"
    write_shapes(root, splits={"train": 16, "val": 4, "test": 4})
    return root


@pytest.fixture(scope="session")
def checkpoint(shapes, tmp_path_factory) -> Path:
    """The best checkpoint of a run of a few steps, made by the tool itself."""
    from tests.tools.command import tool

    folder = tmp_path_factory.mktemp("runs")
    tool("train_seg", *quick_run(shapes, folder), "--name", "quick")
    return folder / "quick" / "best.ckpt"


def quick_run(shapes: Path, output: Path) -> list[str]:
    """Options of a run that takes seconds."""
    data = ["--dataset", "voc", "--data-root", str(shapes), "--output", str(output), "--crop", "64", "64"]
    return [*data, "--epochs", "2", "--batch-size", "8", "--workers", "0", "--trainer.enable_progress_bar", "false"]


@pytest.fixture(scope="session")
def detector(shapes, tmp_path_factory) -> Path:
    """The same of a detection run."""
    from tests.tools.command import tool

    folder = tmp_path_factory.mktemp("detections")
    tool("train_det", *quick_detection(shapes, folder), "--name", "quick")
    return folder / "quick" / "best.ckpt"


def quick_detection(shapes: Path, output: Path) -> list[str]:
    """Options of a detection run that takes seconds."""
    data = ["--dataset", "coco", "--data-root", str(shapes), "--output", str(output), "--size", "64", "64"]
    return [*data, "--epochs", "2", "--batch-size", "8", "--workers", "0", "--trainer.enable_progress_bar", "false"]


@pytest.fixture(scope="session")
def joint(shapes, tmp_path_factory) -> Path:
    """The same of a joint run."""
    from tests.tools.command import tool

    folder = tmp_path_factory.mktemp("joint")
    tool("train_joint", *quick_detection(shapes, folder), "--name", "quick")
    return folder / "quick" / "best.ckpt"


@pytest.fixture(scope="session")
def classifier(shapes, tmp_path_factory) -> Path:
    """The same of a classification run."""
    from tests.tools.command import tool

    folder = tmp_path_factory.mktemp("classes")
    tool("train_cls", *quick_classification(class_folders(shapes, folder / "tree"), folder), "--name", "quick")
    return folder / "quick" / "best.ckpt"


def class_folders(shapes: Path, root: Path) -> Path:
    """The objects of a Shapes tree as images in class folders."""
    from PIL import Image

    from datasets.classification.find import shapes_objects

    for split in ("train", "val"):
        files = shapes_objects(shapes, split)
        for number, (image, label) in enumerate(zip(files.images, files.labels, strict=True)):
            path = root / split / files.names[label] / f"{number:03d}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(image).save(path)
    return root


def quick_classification(tree: Path, output: Path) -> list[str]:
    """Options of a classification run that takes seconds."""
    data = ["--dataset", "folder", "--data-root", str(tree), "--output", str(output), "--size", "32", "32"]
    return [*data, "--epochs", "2", "--batch-size", "8", "--workers", "0", "--trainer.enable_progress_bar", "false"]


@functools.cache
def once(function: Callable) -> Callable:
    """A function that computes each result once for all tests of a process."""
    return functools.cache(function)


@pytest.fixture
def tool_here(monkeypatch, capsys) -> Callable[..., str]:
    """`tool` without a process of its own, which saves seconds where what is tested needs none: what it says."""
    from tools import cli

    monkeypatch.setattr(cli, "build_parser", once(cli.build_parser))  # which takes longer than what most tests look at

    def call(name: str, *options: str, succeeds: bool = True, folder: Path = ROOT) -> str:
        monkeypatch.chdir(folder)
        monkeypatch.setattr(sys, "argv", [f"{name}.py"])
        monkeypatch.setattr(sys, "path", [str(ROOT / "tools"), *sys.path])
        function = getattr(importlib.import_module(f"tools.{name}"), name)
        code: object = None
        try:
            cli.command(function, list(options))
        except SystemExit as ended:
            code = ended.code
        said = "".join(capsys.readouterr()) + (code if isinstance(code, str) else "")
        assert (not code) == succeeds, said
        return said

    return call


@pytest.fixture
def hub(tmp_path, monkeypatch):
    """The folder of a local Hugging Face hub, on which "me" is logged in; what is pushed lands there."""
    from huggingface_hub import constants

    from tests.hub_server import TOKEN, Hub

    root = tmp_path / "hub"
    root.mkdir()
    server = Hub(root)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    template = server.address + "/{repo_id}/resolve/{revision}/{filename}"
    monkeypatch.setattr(constants, "ENDPOINT", server.address)  # HF_ENDPOINT is read when the library is imported
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(constants, "HF_TOKEN_PATH", str(tmp_path / "token"))
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    yield root
    server.shutdown()


@pytest.fixture(autouse=True)
def seeded():
    """Networks of a test do not depend on which tests ran before."""
    import torch

    torch.manual_seed(0)
