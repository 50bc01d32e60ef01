import subprocess
import sys
from pathlib import Path

import pytest
import torch

from tasks import CheckpointError, SegmentationTask
from tasks.checkpoints import AtomicCheckpointIO, read_checkpoint

ROOT = Path(__file__).resolve().parents[2]


def test_a_full_disk_leaves_the_previous_checkpoint(tmp_path):
    path = tmp_path / "last.ckpt"
    AtomicCheckpointIO().save_checkpoint({"weights": torch.zeros(10)}, path)
    before = path.read_bytes()
    code = (
        "import resource, signal, torch; from tasks import CheckpointError\n"
        "from tasks.checkpoints import AtomicCheckpointIO\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))\n"
        "try: AtomicCheckpointIO().save_checkpoint({'weights': torch.zeros(1_000_000)}, 'PATH')\n"
        "except CheckpointError as error: print(error)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code.replace("PATH", str(path))], cwd=ROOT, capture_output=True, text=True
    )
    assert done.stdout.startswith(f"{path}: could not be saved") and "the previous one is kept" in done.stdout
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize(
    "content, said", [(b"", "not a readable checkpoint"), (b"text" * 100, "not a readable checkpoint")]
)
def test_unreadable_checkpoints_are_named(tmp_path, content, said):
    path = tmp_path / "x.ckpt"
    path.write_bytes(content)
    with pytest.raises(CheckpointError, match=f"x.ckpt: {said}") as raised:
        read_checkpoint(path, "segmentation")
    assert "\n" not in str(raised.value)


def test_missing_foreign_and_other_tasks_checkpoints_are_named(tmp_path):
    with pytest.raises(CheckpointError, match="no such checkpoint"):
        SegmentationTask.load(tmp_path / "none.ckpt")
    torch.save({"weight": torch.zeros(1)}, tmp_path / "plain.pth")
    with pytest.raises(CheckpointError, match="not written by this package"):
        SegmentationTask.load(tmp_path / "plain.pth")
    torch.save({"mobiledense": {"task": "detection"}}, tmp_path / "boxes.ckpt")
    with pytest.raises(CheckpointError, match="for detection, not for segmentation"):
        SegmentationTask.load(tmp_path / "boxes.ckpt")


def test_truncated_checkpoint_is_named(tmp_path, checkpoint):
    path = tmp_path / "cut.ckpt"
    path.write_bytes(checkpoint.read_bytes()[:-1000])
    with pytest.raises(CheckpointError, match=r"cut.ckpt: not a readable checkpoint"):
        SegmentationTask.load(path)
