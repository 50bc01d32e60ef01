"""What was measured of some files, as a table, as JSON, and as a plot of accuracy over latency."""

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from backbones.weights_download import sha256
from datasets import read_image
from datasets.shapes import draw
from deploy.extras import DeployError
from deploy.latency import STAGES, Image, Latency, measure_apart
from tasks.costs import plain_table, wide_console
from tasks.drawing import write_plot
from tasks.hub_checkpoints import is_elsewhere, pinned
from tasks.readiness import require_folder
from tasks.writing import write_json

METRICS = {"segmentation": "mIoU", "detection": "AP", "classification": "top-1", "joint": "mean of mIoU and AP"}


def benchmark(
    files: Sequence[Path],
    threads: Sequence[int],
    image: Path | None,
    scores: Sequence[Path],
    rounds: int,
    folder: Path,
    torchvision: bool = True,
) -> Path:
    """Measure files one after the other, print a table, and write latency.json and, for those with scores, plots.

    Args:
        files: see `deploy.load`.
        threads: each file is measured with each of these.
        image: that is predicted; None for one of the Shapes set.
        scores: scores.json of the evaluation tools, or folders with it; each says which file it is of.
        rounds: see `deploy.latency.measure`.
        folder: for what is written.
        torchvision: whether its networks are measured beside them, each once for a size and number of threads.

    Returns:
        The folder.

    Raises:
        DataError, TaskError: for whatever the user can mend, in one line.
    """
    require_folder(folder)
    accuracy = read_scores(scores, files)
    if image is None:
        print("--image is not given, so that the image is a synthetic one; decoding takes more or less on others")
    pixels = shapes_image() if image is None else read_image(image)
    found = []
    for path in files:
        for count in threads:
            print(f"{path}, {count} threads", flush=True)
            found.append(measure_apart(path, pixels, count, rounds))
    if torchvision:
        wanted = [(name, *of, one.size, one.threads) for one in found for name, of in one.peers.items()]
        for name, kind, classes, size, count in dict.fromkeys(wanted):
            print(f"torchvision's {name}, {count} threads", flush=True)
            found.append(measure_apart(name, kind, classes, size, pixels, count, rounds))
    print_table(found, accuracy)
    write_json(folder / "latency.json", [_entry(one, accuracy) for one in found])
    written = ["latency.json", *plot(found, accuracy, folder)]
    print(f"wrote {', '.join(written)} to {folder}")
    return folder


def shapes_image() -> Image:
    """One image of the Shapes set, uint8 [H, W, 3]."""
    return draw(np.random.default_rng(0))[0]


def read_scores(scores: Sequence[Path], files: Sequence[Path]) -> dict[Path, float]:
    """The mIoU, AP or top-1 accuracy, 0 to 1, of each of the files that a scores.json is of.

    Raises:
        DeployError: if one is no scores.json of an evaluation tool, or is of none of the files as they are now.
    """
    found: dict[Path, float] = {}
    for path in scores:
        content, value = read_score(path)
        of = [file for file in files if is_of(content, file)]
        if not of:
            said = content["checkpoint"]
            raise DeployError(f"--scores {path}: is of {said}, or of what that was before, which is none of the files")
        found |= dict.fromkeys(of, value)
    return found


def read_score(path: Path, option: str = "--scores") -> tuple[dict[str, Any], float]:
    """What a scores.json says, and the mIoU, AP or top-1 accuracy in it, 0 to 1.

    Args:
        path: of the file, or its folder.
        option: that named it.

    Raises:
        DeployError: if it is none of an evaluation tool.
    """
    try:
        path = path / "scores.json" if path.is_dir() else path
        content = json.loads(path.read_text(encoding="utf-8"))
        Path(content["checkpoint"])
        known = (content[name] for name in ("mean", "miou", "top1") if name in content)
        return content, float(next(known, content.get("coco", {}).get("AP")))
    except (OSError, ValueError, TypeError, KeyError, AttributeError):
        raise DeployError(f"{option} {path}: is no scores.json that an evaluation tool wrote") from None


def is_of(content: dict[str, Any], file: Path) -> bool:
    """Whether a scores.json is of a file: by its hash where it has one, and else by its name."""
    if is_elsewhere(file):
        return bool(content["checkpoint"] == pinned(file))
    if "sha256" in content:
        return bool(content["sha256"] == sha256(file))
    return Path(content["checkpoint"]).resolve() == file.resolve()


def print_table(found: Sequence[Latency], accuracy: dict[Path, float]) -> None:
    """Times and costs, a row for each file and number of threads in both."""
    times = plain_table("file", "threads", *STAGES, "total")
    costs = plain_table("file", "threads", "MB", "MiB grown", "M MAdds", "of peak", "score")
    for one in found:
        score, grown, name = _score(one, accuracy), one.peak_memory, [one.file, str(one.threads)]
        times.add_row(*name, *(_spread(one.milliseconds[stage]) for stage in (*STAGES, "total")))
        memory, accurate = "-" if grown is None else f"{grown:.0f}", "-" if score is None else f"{100 * score:.2f}"
        work = ["-", "-"] if one.madds is None else [f"{one.madds / 1e6:,.1f}", f"{one.peak_share:.0%}"]
        costs.add_row(*name, f"{one.megabytes:.2f}", memory, *work, accurate)
    wide_console().print(times)
    print("Milliseconds: median (10th to 90th percentile). Decode is what is done behind the file.")
    for one in found:
        if one.parts:
            parts = ", ".join(f"{name} {milliseconds:.2f}" for name, milliseconds in one.parts.items())
            print(f"{one.file}, {one.threads} threads, the network's parts: {parts}")
    print()
    wide_console().print(costs)
    if any(one.madds is None for one in found):
        print(
            "torchvision's networks are eager and in float32, with random weights, so that its non-maximum\n"
            "suppression has nothing to do; they see images as large as the files do, and have as many classes."
        )
    peaks = {one.threads: one.peak_madds for one in found}
    told = ", ".join(f"{peak / 1e9:.0f} G a second with {count}" for count, peak in peaks.items())
    print(
        "MiB grown: by how much the process grew from loading the file on, at most, the runtime's libraries included.\n"
        "of peak: the network's multiply-adds a second over those of a float32 matrix product here, for int8 too:\n"
        f"{told} threads."
    )


def plot(found: Sequence[Latency], accuracy: dict[Path, float], folder: Path) -> list[str]:
    """Write accuracy over total latency, one image for each task of which there are scores; their names."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    written = []
    for kind in dict.fromkeys(one.task for one in found if _score(one, accuracy) is not None):
        figure, axes = plt.subplots(figsize=(8, 6))
        shown = [one for one in found if one.task == kind and _score(one, accuracy) is not None]
        for count in dict.fromkeys(one.threads for one in shown):
            some = [one for one in shown if one.threads == count]
            points = [(one.milliseconds["total"][0], 100 * accuracy[Path(one.file)]) for one in some]
            axes.scatter(*zip(*points, strict=True), label=f"{count} threads")
            for one, point in zip(some, points, strict=True):
                name = f"{Path(one.file).parent.name}/{Path(one.file).name}"
                axes.annotate(name, point, xytext=(4, 4), textcoords="offset points", fontsize=8)
        axes.set(xlabel="milliseconds from image to result", ylabel=f"{METRICS[kind]}, %", title="Accuracy and latency")
        axes.set_xlim(left=0)
        axes.legend()
        written.append(f"latency_{kind}.png")
        write_plot(folder / written[-1], figure)
    return written


def _score(one: Latency, accuracy: dict[Path, float]) -> float | None:
    return accuracy.get(Path(one.file))


def _entry(one: Latency, accuracy: dict[Path, float]) -> dict[str, object]:
    return asdict(one) | {"peak_share": one.peak_share, "score": _score(one, accuracy)}


def _spread(milliseconds: tuple[float, float, float]) -> str:
    median, low, high = milliseconds
    return f"{median:.3g} ({low:.3g}-{high:.3g})"
