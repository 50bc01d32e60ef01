"""Predict any number of images on one machine or many, with Ray Data; docs/scale.md says more.

python examples/predict_ray.py --checkpoint best.ckpt --source photos --output results
python examples/predict_ray.py --checkpoint best.onnx --source list.txt --output s3://BUCKET/results --threads 2
python examples/predict_ray.py --checkpoint best.ckpt --source s3://BUCKET/photos --output results --gpus 0.25
"""

import os
import platform
import re
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

ROOT = str(Path(__file__).resolve().parents[1])
sys.path[0] = ROOT

from datasets.ranges import BATCH, COUNT, check_options
from deploy.export_options import Runtime
from tasks.errors import TaskError, require_checkpoint
from tools.cli import command

TRIES = 4  # of a shard whose worker dies, as one of its images may be what kills workers


class Tries:
    """How often each shard was begun. It is a process of its own, which outlives the workers."""

    def __init__(self) -> None:
        self.begun: Counter[str] = Counter()

    def begin(self, first_image: str) -> int:
        """Count a try of the shard; return how many there were."""
        self.begun[first_image] += 1
        return self.begun[first_image]


class Predict:
    """A worker, which is a process of Ray's with a network of its own."""

    def __init__(
        self, shards: Any, tries: Any, digests: list[str], score_threshold: float, batch_size: int, **how: Any
    ) -> None:
        import cv2
        import torch

        from deploy import load

        if digests != digests_of(how["path"]):
            raise TaskError(f"{how['path']}: is another file on {platform.node()} than where the job was started")
        torch.set_num_threads(how["threads"])
        cv2.setNumThreads(how["threads"])
        self.shards, self.tries, self.score_threshold, self.batch_size = shards, tries, score_threshold, batch_size
        self.predictor = load(**how)

    def __call__(self, shard: dict[str, Any]) -> dict[str, Any]:
        """Predict a shard's images, unless a broken-off attempt did; how many rows it has, and why no more."""
        import ray

        from deploy.rows import predict_rows

        names, rows, unread = [*map(str, shard["images"])], [], []
        if held := self.shards.held(names):
            return {"rows": held, "unread": ""}
        if ray.get(self.tries.begin.remote(names[0])) > TRIES:
            return {"rows": 0, "unread": f"{names[0]}: {TRIES} workers died at its shard"}
        for start in range(0, len(names), self.batch_size):
            more = predict_rows(self.predictor, names[start : start + self.batch_size], self.score_threshold)
            rows += more[0]
            unread += more[1]
        if rows:
            self.shards.write(names, rows)
        return {"rows": len(rows), "unread": unread[0] if unread else ""}


def digests_of(checkpoint: Path) -> list[str]:
    """SHA-256 of a checkpoint's file, and of what lies beside it."""
    from backbones.weights_download import sha256
    from deploy.runtimes import BESIDE, parts
    from tasks.hub_checkpoints import local_checkpoint

    return [*map(sha256, parts(local_checkpoint(checkpoint, BESIDE)))]


def predict_ray(
    checkpoint: Path,
    source: str,
    output: str,
    workers: int | None = None,
    threads: int = 1,
    gpus: float = 0,
    batch_size: int = 8,
    shard_size: int = 1000,
    score_threshold: float | None = None,
    runtime: Runtime | None = None,
) -> None:
    """Write what a network sees in images as shards, Parquet files with a row an image; the same command goes on.

    Args:
        checkpoint: as predict.py takes it, at a path that all machines have.
        source: a folder, or a list of images, a .txt with a path or URI a line; either may be a URI as s3://BUCKET/photos.
        output: a folder that all machines have, or its URI.
        workers: processes with a network each; by default as many as the cluster has CPUs or GPUs for.
        threads: CPUs of a worker.
        gpus: of a worker; 0.25 for four workers on each.
        batch_size: images that a worker reads and predicts at a time.
        shard_size: images of a file of results, all of which are predicted once more if their worker dies.
        score_threshold: boxes with a score above this are written; by default the one stored with the network, or 0.3.
        runtime: torch, onnx, openvino, executorch or litert; by default torch, or what an exported file is for.
    """
    check_options(workers=(workers, *COUNT), threads=(threads, 1, 1024), gpus=(gpus, 0, 64))
    check_options(batch_size=(batch_size, *BATCH), shard_size=(shard_size, *COUNT))
    check_options(score_threshold=(score_threshold, 0, 1))
    require_checkpoint(checkpoint)
    from deploy.extras import require

    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    require("ray.data", "ray", "predict_ray.py")
    import ray

    from datasets.faults import one_line
    from deploy import load
    from deploy.shards import Shards, find_images
    from tasks.detection.thresholds import shown_above
    from tasks.hub_checkpoints import is_elsewhere

    names = find_images(source)
    predictor = load(checkpoint, "cpu", runtime=runtime)  # what is wrong with it is told once, and here
    score_threshold = shown_above(score_threshold, predictor.spec)
    digests = digests_of(checkpoint)
    shards = Shards(output, {"sha256": digests, "score_threshold": score_threshold})
    with shards.alone():
        done = shards.finished()
        # cut before what is done is left out, so that what is left has the shards that it had
        cut = (names[start : start + shard_size] for start in range(0, len(names), shard_size))
        rows = [{"images": undone} for part in cut if (undone := [name for name in part if name not in done])]
        print(f"{len(names)} images, {len(done.intersection(names))} of them done", flush=True)
        if not rows:
            return
        ray.init(runtime_env={"env_vars": {"PYTHONPATH": ROOT, "NO_ALBUMENTATIONS_UPDATE": "1"}})
        there, device = ray.cluster_resources(), "cuda" if gpus else "cpu"
        fitting = int(there.get("GPU", 0) / gpus) if gpus else int(there.get("CPU", 0) / threads)
        if not (workers or fitting):
            raise TaskError(f"no worker of --threads {threads} and --gpus {gpus} fits into this cluster: {there}")
        tries = ray.remote(num_cpus=0, max_restarts=-1, max_task_retries=-1)(Tries).remote()
        path = checkpoint if is_elsewhere(checkpoint) else checkpoint.absolute()
        results = ray.data.from_items(rows, override_num_blocks=len(rows)).map(
            Predict,
            fn_constructor_args=(shards, tries, digests, score_threshold, batch_size),
            fn_constructor_kwargs={"path": path, "device": device, "runtime": runtime, "threads": threads},
            compute=ray.data.ActorPoolStrategy(size=workers or fitting),
            num_cpus=threads,
            num_gpus=gpus,
        )
        begun, written, unread = time.monotonic(), 0, ""
        try:
            for result in results.iter_rows():
                written, unread = written + result["rows"], unread or result["unread"]
        except ray.exceptions.RayError as error:
            # the first error of the traceback, which is all that comes of what a worker raises
            cause = re.search(r"^ *(?:\w+\.)*(\w*Error: .+)$", str(error), re.MULTILINE)
            told = one_line(cause[1] if cause else error, 500)
            raise TaskError(f"a worker failed ({told}); what it wrote stays, and the same command goes on") from None
        seconds = time.monotonic() - begun
    print(f"wrote {written} rows to {output} in {seconds:.0f} s, {written / seconds:.1f} images a second")
    left = sum(len(row["images"]) for row in rows) - written
    if left:
        raise TaskError(f"{left} images are left, the first as {unread}; the same command tries them again")


if __name__ == "__main__":
    command(predict_ray)
