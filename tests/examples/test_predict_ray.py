"""Prediction by Ray on this machine: workers and whole jobs are killed, and each image has its result once."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.conftest import ROOT

pytest.importorskip("ray.data")
pytestmark = pytest.mark.slow
COUNT = 400


def start(*options: object) -> subprocess.Popen[str]:
    """The script on a cluster of its own, of two workers."""
    command = [sys.executable, "examples/predict_ray.py", "--workers", "2", "--shard-size", "10", *map(str, options)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "RAY_ADDRESS": "local"}
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
    return subprocess.Popen(command, cwd=ROOT, env=environment, **pipes)


def finish(job: subprocess.Popen[str]) -> str:
    said = job.communicate(timeout=400)[0]
    assert job.returncode == 0, said
    return said


def wait_for_shards(output: Path, count: int, job: subprocess.Popen[str]) -> None:
    while len([*output.glob("*.parquet")]) < count:
        assert job.poll() is None, job.communicate()[0]
        time.sleep(0.02)


def workers(job: subprocess.Popen[str]) -> list[int]:
    """The processes with a network: children of Ray's own process, which is one of the job's."""
    parent = str(job.pid)
    for pattern in ("raylet", "ray::.*Predict"):
        found = subprocess.run(["pgrep", "-P", parent, "-f", pattern], capture_output=True, text=True).stdout.split()
        parent = ",".join(found)
    return [*map(int, found)]


def rows(output: Path) -> list[dict]:
    import pyarrow.parquet as pq

    return [row for path in output.glob("*.parquet") for row in pq.read_table(path).to_pylist()]


@pytest.fixture
def photos(shapes, tmp_path) -> Path:
    """Many images, one of which is none."""
    (tmp_path / "photos" / "für").mkdir(parents=True)
    images = sorted((shapes / "JPEGImages").iterdir())
    for number in range(COUNT - 1):
        os.link(images[number % len(images)], tmp_path / "photos" / "für" / f"{number:04d}.jpg")
    (tmp_path / "photos" / "broken.jpg").write_bytes(b"no image")
    return tmp_path / "photos"


def test_a_killed_worker_costs_no_image(photos, checkpoint, tmp_path):
    from deploy import load
    from deploy.rows import predict_rows

    output = tmp_path / "results"
    options = ["--checkpoint", checkpoint, "--source", photos, "--output", output]
    job = start(*options)
    wait_for_shards(output, 2, job)
    first = workers(job)
    os.kill(first[-1], signal.SIGKILL)
    said = finish(job)
    assert f"wrote {COUNT} rows" in said
    found = rows(output)
    assert sorted(row["file"] for row in found) == sorted(map(str, photos.rglob("*.jpg")))
    assert [row["file"] for row in found if row["fault"]] == [str(photos / "broken.jpg")]
    some = {row["file"]: row for row in found[::100] if not row["fault"]}
    expected, _ = predict_rows(load(checkpoint, "cpu"), [*some], 0.3)
    assert [json.loads(some[row["file"]]["result"]) for row in expected] == [json.loads(r["result"]) for r in expected]
    shards = {path: path.stat().st_mtime_ns for path in output.glob("*.parquet")}
    os.link(photos / "für" / "0000.jpg", photos / "a_new_one.jpg")
    assert f"{COUNT + 1} images, {COUNT} of them done" in finish(start(*options))
    assert {path: path.stat().st_mtime_ns for path in shards} == shards
    assert len(rows(output)) == COUNT + 1


def test_a_killed_job_goes_on_and_a_second_one_is_refused(photos, checkpoint, tmp_path):
    output = tmp_path / "results"
    options = ["--checkpoint", checkpoint, "--source", photos, "--output", output]
    job = start(*options)
    wait_for_shards(output, 3, job)
    second = start(*options)
    assert "another job writes there" in second.communicate(timeout=200)[0] and second.returncode == 1
    job.kill()
    job.communicate(timeout=60)
    done = len([*output.glob("*.parquet")])
    assert done < COUNT / 10
    said = finish(start(*options))
    assert f"{COUNT} images, 0 of them done" not in said
    names = [row["file"] for row in rows(output)]
    assert sorted(names) == sorted(map(str, photos.rglob("*.jpg")))
    assert len([*output.glob("*.parquet")]) == COUNT / 10
