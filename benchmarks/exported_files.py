"""One checkpoint in every format: score on the test split, latency at one and two threads, and size.

    python benchmarks/exported_files.py --checkpoint best.ckpt --dataset voc --data-root DIR --output exported

Every step is a command of tools/: export.py writes a file for each format in each precision, eval_*.py evaluates the
checkpoint and the files on --split, and benchmark.py measures them from uint8 image to result, when all else is done,
so that the machine must be quiet only then. int8 files are calibrated on --calibration-split and written whatever they
lose, for the table to tell. MediaPipe is evaluated by MediaPipe Tasks themselves, which take as many threads as they
like, so that its latency is that of LiteRT with the same file.

It can be stopped at any time: the same command goes on where it was. `--only` takes some of the rows.
"""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path[0] = str(ROOT)

from deploy.extras import DeployError
from deploy.latency_report import METRICS
from deploy.releasing import require_made_from
from deploy.runtimes import FORMATS
from tasks.wings import WINGS, load_task
from tools.cli import command

TITLES = {"onnx": "ONNX", "openvino": "OpenVINO", "executorch": "ExecuTorch", "litert": "LiteRT"}
EVALUATE = {"segmentation": "eval_seg", "detection": "eval_det", "classification": "eval_cls"}
THREADS = ("1", "2")


def main(
    checkpoint: Path,
    output: Path,
    dataset: str,
    data_root: Path,
    split: str = "test",
    calibration_split: str = "train",
    gate_split: str = "val",
    only: list[str] | None = None,
    image: Path | None = None,
    rounds: int = 50,
) -> None:
    """Run what has not run yet, and print the table in Markdown.

    Args:
        checkpoint: written by training.
        output: folder for files, scores and latencies.
        dataset: as in training.
        data_root: likewise.
        split: that is scored.
        calibration_split: of int8.
        gate_split: that export.py compares int8 files on, by 32 images.
        only: names of rows.
        image: that is timed; by default the first one of the split.
        rounds: of benchmark.py.

    Raises:
        DeployError: for a row that there is not, or a file in the folder that is of another checkpoint.
    """
    kind = load_task(checkpoint, "cpu").kind
    data = ["--dataset", dataset, "--data-root", str(data_root)]
    gate = [*data, "--split", gate_split, "--max-images", "32", "--max-drop", "100"]
    int8 = ["--int8", "--calibration", f"{dataset}:{calibration_split}", *gate]
    rows = {"checkpoint, torch": checkpoint.resolve()}
    known = variants(int8)
    unknown = [name for name in only or [] if name not in [row[0] for row in known]]
    if unknown:
        raise DeployError(f"--only {unknown[0]}: there is no such row; there are {', '.join(row[0] for row in known)}")
    for name, suffix, options in known:
        if only is None or name in only:
            rows[name] = output.resolve() / f"{name.lower().replace(' ', '_')}{suffix}"
            if rows[name].is_file():
                require_made_from([rows[name]], checkpoint)
            else:
                tool("export", "--checkpoint", str(checkpoint), "--output", str(rows[name]), *options)
    scores = [output.resolve() / f"eval_{path.stem}" for path in rows.values()]
    for (name, path), folder in zip(rows.items(), scores, strict=True):
        if not (folder / "scores.json").is_file():
            how = ["--runtime", "mediapipe"] if name == "MediaPipe" else []
            evaluation = ["--split", split, "--drawn", "0", "--output", str(folder)]
            tool(EVALUATE[kind], "--checkpoint", str(path), *data, *evaluation, *how)
    if image is None:
        files = WINGS[kind].find_files(dataset, [split], data_root)[0]
        image = next((source for source in WINGS[kind].images(files) if isinstance(source, Path)), None)
    timing = ["--rounds", str(rounds), "--output", str(output / "latency")]
    timing += [] if image is None else ["--image", str(image)]
    tool(
        "benchmark",
        *map(str, rows.values()),
        "--threads",
        *THREADS,
        "--scores",
        *map(str, scores),
        *timing,
        "--torchvision",
        "false",
    )
    print_table(kind, [*rows], json.loads((output / "latency" / "latency.json").read_text()))


def variants(int8: list[str]) -> list[tuple[str, str, list[str]]]:
    """Name of a row, suffix of its file, and options of export.py."""
    found = []
    for format, title in TITLES.items():
        writer, options = FORMATS[format], ["--format", format]
        found += [(title, writer.suffix, options), (f"{title} int8", writer.suffix, [*options, *int8])]
        if "float16" in writer.precisions:
            found += [(f"{title} float16", writer.suffix, [*options, "--float16"])]
    return [*found, ("MediaPipe", ".tflite", ["--format", "litert", "--target", "mediapipe"])]


def tool(name: str, *options: str) -> None:
    """Run a tool."""
    subprocess.run([sys.executable, f"tools/{name}.py", *options], cwd=ROOT, check=True)


def print_table(kind: str, names: list[str], found: list[dict[str, Any]]) -> None:
    """A row for each file; `found` has one entry for each file and number of threads."""
    print(f"| | {METRICS[kind]} | {' | '.join(f'ms, {count} threads' for count in THREADS)} | MB |")
    print("|---" * (3 + len(THREADS)) + "|")
    for at, name in enumerate(names):
        entries = found[at * len(THREADS) : (at + 1) * len(THREADS)]
        times = " | ".join(f"{entry['milliseconds']['total'][0]:.1f}" for entry in entries)
        print(f"| {name} | {100 * entries[0]['score']:.2f} % | {times} | {entries[0]['megabytes']:.2f} |")


if __name__ == "__main__":
    command(main)
