"""Scores that go with a network: from the scores.json of an evaluation, if it was this network's."""

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from backbones.weights_download import sha256
from tasks.errors import TaskError
from tasks.hub_checkpoints import is_elsewhere, pinned

TABLES = ("coco", "voc")  # of a detector's scores
CLASSES = ("iou", "accuracy", "classes")  # which have an entry for each class


def read_scores(paths: Sequence[Path], checkpoint: Path, names: Sequence[str]) -> dict[str, float]:
    """The scores of a checkpoint, as "DATA/SPLIT/METRIC", where DATA is the name of the data's folder.

    Args:
        paths: scores.json of evaluations, one for each split.
        checkpoint: that they must be of.
        names: its classes.

    Raises:
        TaskError: if a file is missing, none of ours, of another checkpoint, or of a split that another one is of.
    """
    found: dict[str, float] = {}
    for path in paths:
        content = _read(path)
        _require_same(path, content, checkpoint, names)
        own = _numbers(content)
        twice = [key for key in own if key in found]
        if twice:
            raise TaskError(f"--scores {path}: {twice[0]} is in another one of these files too; give one of the two")
        found |= own
    return found


def is_scored(folder: Path, digest: str) -> bool:
    """Whether the scores.json of a folder is of the checkpoint with this SHA-256."""
    path = folder / "scores.json"
    try:
        return path.is_file() and _read(path).get("sha256") == digest
    except TaskError:
        return False


def require_scores(scores: Any) -> dict[str, float]:
    """Scores as `read_scores` has them, from whoever else gives some.

    Raises:
        TaskError: for others.
    """
    entries: dict[Any, Any] = dict(scores) if isinstance(scores, Mapping) else {None: None}
    for key, value in entries.items():
        known = isinstance(key, str) and key.count("/") == 2 and all(part.strip() for part in key.split("/"))
        number = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
        if not known or not number:
            raise TaskError(f'scores cannot have {key!r:.80}: {value!r:.40}; write "DATA/SPLIT/METRIC": a number')
    return {key: float(value) for key, value in entries.items()}


def _read(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise TaskError(f"--scores {path}: {error.strerror}") from None
    except ValueError:
        content = None
    texts = [content.get(key) for key in ("checkpoint", "data", "split")] if isinstance(content, dict) else [None]
    if not all(isinstance(text, str) and text for text in texts):
        raise TaskError(
            f"--scores {path}: is no scores.json of an evaluation of a checkpoint; tools/eval_seg.py, eval_det.py and "
            "eval_cls.py write it"
        )
    return content


def _require_same(path: Path, content: dict[str, Any], checkpoint: Path, names: Sequence[str]) -> None:
    """Refuse scores of another checkpoint: by its hash where the file has it, and else by its name."""
    said = content["checkpoint"]
    if is_elsewhere(checkpoint):
        same = said == pinned(checkpoint)
    elif isinstance(content.get("sha256"), str):
        same = content["sha256"] == sha256(checkpoint)
    else:
        same = _is_path_of(said, path, checkpoint)
    if not same:
        raise TaskError(f"--scores {path}: is of {said}, or of what that was before, not of {checkpoint}")
    classes = next((content[key] for key in CLASSES if isinstance(content.get(key), dict)), None)
    if classes is not None and list(classes) != list(names):
        raise TaskError(f"--scores {path}: is of other classes than {checkpoint}")


def _is_path_of(said: str, path: Path, checkpoint: Path) -> bool:
    """Whether a path that an evaluation wrote down, in whichever folder it ran, can be a checkpoint's."""
    end, own = Path(said).parts, checkpoint.resolve().parts
    beside = path.resolve().parent.parent == checkpoint.resolve().parent and Path(said).name == checkpoint.name
    return beside or own[-len(end) :] == end or Path(said).resolve() == checkpoint.resolve()


def _numbers(content: dict[str, Any]) -> dict[str, float]:
    """What is a score in a scores.json; -1, which COCO has for sizes that no object is of, is none."""
    entries = dict(content)
    for table in TABLES:
        entries |= content[table] if isinstance(content.get(table), dict) else {}
    how = _how(content)
    scores = {key: value for key, value in entries.items() if isinstance(value, float) and value >= 0}
    if isinstance(content.get("images"), int):
        scores["images"] = content["images"]
    data = Path(content["data"]).name or "data"
    return {f"{data}/{content['split']}/{key}{how}": float(value) for key, value in scores.items()}


def _how(content: dict[str, Any]) -> str:
    """What an evaluation did beside plain predicting, behind a metric's name."""
    done = []
    if content.get("tta_scales") not in (None, [1.0]):
        done.append(f"scales {' '.join(map(str, content['tta_scales']))}")
    if content.get("tta_flip"):
        done.append("flipped")
    if content.get("window"):
        done.append(f"window {' '.join(map(str, content['window']))}")
    return f" ({', '.join(done)})" if done else ""
