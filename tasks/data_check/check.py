"""Checks a dataset from end to end, prints what is wrong, and writes a page with the offenders drawn."""

import os
from collections.abc import Sequence
from itertools import chain
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from datasets import (
    DRAWN,
    SIDE,
    WORKERS,
    Findings,
    InspectedDetection,
    check_options,
    choose_task,
    find_splits,
    inspect_splits,
    serves,
)
from datasets.grouping import check_group_by
from heads import Anchors
from tasks.data_check.anchor_coverage import cover_boxes, head_anchors, uncovered
from tasks.data_check.html import legible
from tasks.data_check.page import DataCheck, page, tell_coverage
from tasks.errors import TaskError
from tasks.readiness import require_folder

STYLES = {"error": "bold red", "warning": "yellow", "note": ""}
FILES = 3  # that the terminal names of each kind


def check_dataset(
    dataset: str,
    task: str | None,
    data_root: Path | None,
    split_names: Sequence[str] | None,
    size: tuple[int, int] | None,
    head: str,
    head_options: dict[str, Any] | None,
    workers: int | None,
    drawn: int,
    folder: Path,
    group_by: str | None = None,
    classes: str | None = None,
) -> None:
    """Look at every file of a dataset, print what is wrong, and write folder/index.html.

    Args:
        dataset: see `datasets.find_segmentation`, `find_detection` and `find_files`.
        task: "segmentation", "detection" or "classification"; for None, what the tree looks like.
        data_root: where the data is.
        split_names: for None, those of train, val and test that there are.
        size: height and width of a detection network's input; for None, as in train_det.
        head: of a detection network.
        head_options: likewise.
        workers: how many images are read at a time.
        drawn: how many findings of each kind are drawn.
        folder: where the page goes.
        group_by: as in training.
        classes: as in training.

    Raises:
        DataError: if the dataset or a split that was asked for is missing.
        HeadError: for an unknown head or option.
        TaskError: if errors are found, or the folder cannot be written.
    """
    check_options(size=(size, *SIDE), drawn=(drawn, *DRAWN), workers=(workers, 1, WORKERS[1]))
    check_group_by(group_by)
    require_folder(folder)
    chosen = task or choose_task(dataset, data_root)
    size = size or ((160, 160) if dataset == "shapes" else (320, 320))
    heads = _heads(head, head_options, size, dataset == "shapes") if chosen == "detection" else {}
    splits, early = find_splits(chosen, dataset, split_names, data_root, size, group_by, classes)
    served = [] if dataset == "folder" else serves(dataset)  # such a tree is for one task alone
    others = " or ".join(other for other in served if other != chosen)
    images = sum(len(split.images) for split in splits)
    title = f"{splits[0].root}: {chosen}, {images:,} images in {', '.join(split.split for split in splits)}"
    print(legible(title) + (f" (or --task {others})" if others and not task else ""))
    findings = inspect_splits(splits, workers)
    boxed = [split for split in splits if isinstance(split, InspectedDetection)]
    coverage = {name: cover_boxes(anchors, boxed, size) for name, anchors in heads.items()}
    asked = list(coverage.values())[:1]
    for finding in [*early, *chain.from_iterable(uncovered(covered, boxed) for covered in asked)]:
        findings.add(finding)
    _print_findings(findings)
    for name, covered in coverage.items():
        print(f"{name}, input {size[1]}x{size[0]}: {tell_coverage(covered)}")
    path = _write(folder, page(DataCheck(title, splits, findings, size, coverage), drawn))
    print(f"offenders drawn, counts and plots: {path}")
    errors = findings.total("error")
    if errors:
        raise TaskError(f"{errors:,} error{'s' * (errors > 1)} in {legible(str(splits[0].root))}; {path} shows them")


def _heads(head: str, head_options: dict[str, Any] | None, size: tuple[int, int], small: bool) -> dict[str, Anchors]:
    """The anchors that were asked for, and beside them those with a map for small objects, for comparison."""
    options = ({"small_objects": True} if small and head == "ssdlite" else {}) | (head_options or {})
    heads = {" ".join([head, *(f"{key} {value}" for key, value in options.items())]): head_anchors(head, options, size)}
    if not options.get("small_objects"):
        beside = head_anchors(head, options | {"small_objects": True}, size)
        heads[f"{head} with --head-options.small_objects true"] = beside
    return heads


def _print_findings(findings: Findings) -> None:
    table = Table()
    table.add_column("")
    table.add_column("count", justify="right")
    table.add_column("what", no_wrap=True)
    table.add_column("first of them", overflow="fold")
    for kind in findings.kinds():
        first = "\n".join(legible(finding.text) for finding in findings.kept[kind][:FILES])
        count = f"{findings.counts[kind].total():,}"
        # texts, as a file's name may look like the markup that rich reads in strings
        table.add_row(Text(kind.severity, STYLES[kind.severity]), count, kind.what, Text(first))
    Console().print(table if table.rows else "nothing found: no errors, no warnings, nothing to note")


def _write(folder: Path, content: str) -> Path:
    """Write the page whole or not at all."""
    folder.mkdir(parents=True, exist_ok=True)
    path, unfinished = folder / "index.html", folder / ".index.html"
    unfinished.write_text(content, encoding="utf-8")
    os.replace(unfinished, path)
    return path
