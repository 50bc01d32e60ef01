"""The command mobiledense: `mobiledense train-seg ...` is `python tools/train_seg.py ...` of the installed checkout.

`mobiledense demo` trains a segmentation network on the embedded Shapes set, predicts with it and evaluates it.
"""

import ast
import difflib
import importlib
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parent
CONFIG, RUN = str(CHECKOUT / "configs" / "seg" / "shapes_v3-small.yaml"), "runs/demo"
IMAGES = "data/shapes/JPEGImages/test_000*.jpg"  # a pattern that predict looks for itself
DEMO = (
    ("train-seg", "--config", CONFIG, "--name", "demo", "--overwrite"),
    ("predict", "--checkpoint", f"{RUN}/best.ckpt", "--source", IMAGES, "--output", f"{RUN}/predictions"),
    ("eval-seg", "--checkpoint", f"{RUN}/best.ckpt", "--split", "test"),
)
AFTER_DEMO = """
The images are in runs/demo/predictions. Next, train on your own (README says how they must lie):
  mobiledense train-seg --dataset folder --data-root DIR --weights imagenet"""


def tools() -> dict[str, str]:
    """What each tool is for, by its name as typed: the first line of its file."""
    paths = [path for path in sorted((CHECKOUT / "tools").glob("[a-z]*.py")) if not path.stem.startswith("cli")]
    texts = {path: ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or "" for path in paths}
    return {path.stem.replace("_", "-"): text.partition("\n")[0] for path, text in texts.items()}


def run(name: str, arguments: Sequence[str]) -> None:
    """Run a tool as the command of its name."""
    stem = name.replace("-", "_")
    function = getattr(importlib.import_module(f"tools.{stem}"), stem)
    importlib.import_module("tools.cli").command(function, [*arguments], f"mobiledense {name}")


def demo() -> None:
    """Train, predict and evaluate on the embedded Shapes set, in the present folder; the first failure ends it."""
    for name, *arguments in DEMO:
        print(f"mobiledense {shlex.join([name, *arguments])}", flush=True)
        run(name, arguments)
    print(AFTER_DEMO)


def main() -> None:
    """Run the tool that the first argument names with the others, or the demo."""
    known = tools() | {"demo": "Train, predict and evaluate on the embedded Shapes set; it takes minutes."}
    name, *arguments = sys.argv[1:] or ["--help"]
    if name in ("-h", "--help") or [name, *arguments] in (["demo", "-h"], ["demo", "--help"]):
        usage = "usage: mobiledense TOOL ..., and mobiledense TOOL --help for its options; demo has none\n"
        print("\n".join([usage, *(f"  {tool:<12} {purpose}" for tool, purpose in known.items())]))
        return
    if name not in known:
        near = difflib.get_close_matches(name, known, 1)
        hint = f'; did you mean "{near[0]}"?' if near else ""
        sys.exit(f'mobiledense: there is no tool "{name}"{hint} (there are {", ".join(known)})')
    sys.path.insert(0, str(CHECKOUT))  # before other packages that are called datasets or tools
    if name == "demo" and arguments:
        sys.exit(f"mobiledense: demo has no options; for {shlex.join(arguments)}, see mobiledense train-seg --help")
    if name == "demo":
        demo()
    else:
        run(name, arguments)


if __name__ == "__main__":
    main()
