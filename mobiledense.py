"""The command mobiledense: `mobiledense train-seg ...` is `python tools/train_seg.py ...` of the installed checkout."""

import ast
import difflib
import importlib
import sys
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parent


def tools() -> dict[str, str]:
    """What each tool is for, by its name as typed: the first line of its file."""
    paths = [path for path in sorted((CHECKOUT / "tools").glob("[a-z]*.py")) if not path.stem.startswith("cli")]
    texts = {path: ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or "" for path in paths}
    return {path.stem.replace("_", "-"): text.partition("\n")[0] for path, text in texts.items()}


def main() -> None:
    """Run the tool that the first argument names, with the others."""
    known = tools()
    name = sys.argv[1] if len(sys.argv) > 1 else "--help"
    if name in ("-h", "--help"):
        print("usage: mobiledense TOOL ..., and mobiledense TOOL --help for its options\n")
        print("\n".join(f"  {tool:<12} {purpose}" for tool, purpose in known.items()))
        return
    if name not in known:
        near = difflib.get_close_matches(name, known, 1)
        hint = f'; did you mean "{near[0]}"?' if near else ""
        sys.exit(f'mobiledense: there is no tool "{name}"{hint} (there are {", ".join(known)})')
    sys.path.insert(0, str(CHECKOUT))  # before other packages that are called datasets or tools
    stem = name.replace("-", "_")
    function = getattr(importlib.import_module(f"tools.{stem}"), stem)
    importlib.import_module("tools.cli").command(function, sys.argv[2:], f"mobiledense {name}")


if __name__ == "__main__":
    main()
