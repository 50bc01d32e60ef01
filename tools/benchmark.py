"""Measure files from image to result: latency by stage, memory, size, and share of what this machine can do.

python tools/benchmark.py best.onnx best.xml best.ckpt --image street.jpg
python tools/benchmark.py best.tflite best.pte --threads 1 2 --scores eval_tflite eval_pte
"""

import sys
from pathlib import Path

sys.path[0] = str(Path(__file__).resolve().parents[1])

from datasets.ranges import check_options
from tasks.errors import require_checkpoint
from tools.cli import command


def benchmark(
    files: list[str],
    threads: list[int] = [1],  # noqa: B006 the parser reads the default and nobody changes it
    image: Path | None = None,
    scores: list[str] | None = None,
    rounds: int = 50,
    output: Path = Path("benchmark"),
    torchvision: bool = True,
) -> Path:
    """Print tables, and write latency.json and plots of accuracy over latency; each file runs in a process of its own.

    Args:
        files: checkpoints, which run in torch, and what tools/export.py wrote. They may stand without --files, before
            all options.
        threads: each file is measured with each of these numbers.
        image: what the networks see; decoding takes as long as there is something in it. By default one of the Shapes
            set.
        scores: scores.json of the evaluation tools, or their folders, for the plot.
        rounds: how often each file runs, after a fifth as often to warm up.
        output: folder for the results.
        torchvision: also measure its eager network for the task (MobileNetV3, LR-ASPP or SSDLite).
    """
    check_options(threads=(threads, 1, 1024), rounds=(rounds, 1, 10**6))
    for path in files:
        require_checkpoint(Path(path))
    from deploy.latency_report import benchmark

    return benchmark([*map(Path, files)], threads, image, [*map(Path, scores or [])], rounds, output, torchvision)


if __name__ == "__main__":
    command(benchmark)
