import os
import random
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from backbones import BackboneError
from backbones.weights_download import sha256
from backbones.weights_files import read_weights
from tasks import CheckpointError, NonFiniteLoss, SegmentationTask, TaskError, load_task
from tasks.checkpoints import AtomicCheckpointIO, export_weights, read_checkpoint, unchanged
from tasks.commands import evaluate
from tasks.options import Evaluation, EvaluationData

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
    assert done.stdout.startswith(f"{path}: could not be saved") and "last.ckpt from before is kept" in done.stdout
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
    torch.save({"mobiledense": {"task": "detection"}, "state_dict": {}}, tmp_path / "boxes.ckpt")
    with pytest.raises(CheckpointError, match="for detection, not for segmentation"):
        SegmentationTask.load(tmp_path / "boxes.ckpt")


def test_truncated_checkpoint_is_named(tmp_path, checkpoint):
    path = tmp_path / "cut.ckpt"
    path.write_bytes(checkpoint.read_bytes()[:-1000])
    with pytest.raises(CheckpointError, match=r"cut.ckpt: not a readable checkpoint"):
        SegmentationTask.load(path)


def test_every_flipped_bit_is_noticed_or_changes_nothing(tmp_path, checkpoint):
    whole = checkpoint.read_bytes()
    expected = read_checkpoint(checkpoint)["state_dict"]
    draw, noticed = random.Random(0), 0
    for _ in range(60):
        place = draw.randrange(8 * len(whole))
        damaged = bytearray(whole)
        damaged[place // 8] ^= 1 << place % 8
        path = tmp_path / "damaged.ckpt"
        path.write_bytes(damaged)
        try:
            found = read_checkpoint(path)["state_dict"]
            assert all(torch.equal(tensor, expected[key]) for key, tensor in found.items())
        except CheckpointError as error:
            assert str(error).startswith(f"{path}: ")
            noticed += 1
    assert noticed > 50  # most bits are those of weights, of which torch.load notices none


@pytest.mark.parametrize(
    "entry, value",
    [
        ("table", None),
        ("table", {"name": "v3-small", "rows": 7}),
        ("head", "lrasp"),
        ("head", 3),
        ("names", "background"),
        ("names", ["a", "a", "b", "c", "d", "e"]),
        ("names", [1, 2, 3, 4, 5, 6]),
        ("colours", [(0, 0)]),
        ("colours", 9),
        ("input_size", (0, 64)),
        ("input_size", "big"),
        ("mean", (0.5, float("nan"), 0.5)),
        ("std", (0.0, 0.1, 0.1)),
        ("head_options", {"bogus": 1}),
        ("head_options", {1: 2}),
        ("auxiliary", True),
        ("table", lambda table: table | {"norm_eps": "x"}),
        ("table", lambda table: table | {"norm_momentum": [1]}),
        ("table", lambda table: table | {"stem": 10**30}),
    ],
)
def test_a_description_that_is_wrong_or_lacking_is_one_line(entry, value, tmp_path, checkpoint):
    content = torch.load(checkpoint, weights_only=True)
    value = value(content["mobiledense"][entry]) if callable(value) else value
    for change in (lambda: content["mobiledense"].update({entry: value}), lambda: content["mobiledense"].pop(entry)):
        change()
        torch.save(content, tmp_path / "x.ckpt")
        if entry not in content["mobiledense"] and entry in ("mean", "std", "head_options", "auxiliary"):
            SegmentationTask.load(tmp_path / "x.ckpt")  # which have defaults
            continue
        with pytest.raises(CheckpointError, match=r"x.ckpt: ") as raised:
            SegmentationTask.load(tmp_path / "x.ckpt")
        assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    "change, said",
    [
        (lambda state: state.pop("network.head.gate.weight"), "network.head.gate.weight is missing"),
        (lambda state: state.update(extra=torch.zeros(1)), "extra is one too many"),
        (lambda state: state.update({7: torch.zeros(1)}), "7 is one too many"),
        (lambda state: state.update({"network.head.gate.weight": torch.zeros(2)}), r"gate.weight is \[2\]"),
        (lambda state: state.update({"network.head.gate.weight": "text"}), "holds no numbers of its kind"),
        (lambda state: state["network.head.gate.weight"].fill_(float("nan")), "infinite or not a number"),
        (lambda state: state.update({"network.head.gate.weight": torch.zeros(2, device="meta")}), "no numbers of its"),
        (lambda state: state.update({"network.head.gate.weight": torch.zeros(2).to_sparse()}), "no numbers of its"),
    ],
)
def test_weights_that_do_not_fit_are_one_line(change, said, tmp_path, checkpoint):
    content = torch.load(checkpoint, weights_only=True)
    change(content["state_dict"])
    torch.save(content, tmp_path / "x.ckpt")
    with pytest.raises(CheckpointError, match=f"x.ckpt: .*{said}") as raised:
        SegmentationTask.load(tmp_path / "x.ckpt")
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize("description", [{}, {"task": None}, {"task": "poetry"}, {"task": ["segmentation"]}])
def test_a_task_that_there_is_not_is_one_line(description, tmp_path):
    torch.save({"mobiledense": description, "state_dict": {}}, tmp_path / "x.ckpt")
    with pytest.raises(
        CheckpointError, match=r"x.ckpt: its task cannot be .*; there are classification, detection, seg"
    ):
        load_task(tmp_path / "x.ckpt")


def test_endless_nesting_beside_exported_weights_is_one_line(tmp_path):
    save_file({"w": torch.zeros(1)}, tmp_path / "x.safetensors", {"mobiledense": "[" * 100_000})
    with pytest.raises(CheckpointError, match=r"x.safetensors: not a readable checkpoint"):
        read_checkpoint(tmp_path / "x.safetensors")


def test_a_flipped_bit_in_exported_weights_is_found(tmp_path, checkpoint):
    path = tmp_path / "w.safetensors"
    export_weights(checkpoint, path)
    assert read_checkpoint(path)["state_dict"]
    content = bytearray(path.read_bytes())
    for place in np.linspace(len(content) // 2, len(content) - 1, 5).astype(int):
        path.write_bytes(content[:place] + bytes([content[place] ^ 4]) + content[place + 1 :])
        with pytest.raises(CheckpointError, match=r"w.safetensors: damaged"):
            read_checkpoint(path)
        with pytest.raises(BackboneError, match=r"w.safetensors: damaged"):
            read_weights(path)


def test_exported_weights_that_cannot_be_written_are_one_line(tmp_path, checkpoint):
    (tmp_path / f".part{os.getpid()}.safetensors").mkdir()  # fails inside of the library, as a full disk does
    with pytest.raises(TaskError, match=r"w.safetensors: could not be written \(.*I/O error"):
        export_weights(checkpoint, tmp_path / "w.safetensors")


def test_weights_that_diverged_do_not_replace_the_last_finite_ones(tmp_path):
    path = tmp_path / "last.ckpt"
    AtomicCheckpointIO().save_checkpoint({"state_dict": {"w": torch.zeros(3)}}, path)
    before = path.read_bytes()
    for part in ("state_dict", "current_model_state"):
        broken = {"state_dict": {}, "global_step": 7, part: {"w": torch.tensor([1.0, float("inf")])}}
        with pytest.raises(NonFiniteLoss, match=r"w became infinite or not a number by step 7; lower --lr; last\.ckpt"):
            AtomicCheckpointIO().save_checkpoint(broken, path)
    assert path.read_bytes() == before


def test_checkpoints_of_the_first_release_are_read(tmp_path, checkpoint):
    content = torch.load(checkpoint, weights_only=True)
    del content["mobiledense"]["version"], content["train_matrix"]
    torch.save(content, tmp_path / "old.ckpt")
    assert SegmentationTask.load(tmp_path / "old.ckpt").spec.names[1] == "disc"


def test_a_checkpoint_that_is_replaced_while_it_is_read_is_told(tmp_path, checkpoint):
    path = tmp_path / "best.ckpt"
    shutil.copy(checkpoint, path)
    with unchanged(path) as digest:
        assert digest == sha256(checkpoint)

    def load_late(path, device, output_stride):  # as a training goes on meanwhile
        task = load_task(path, device)
        torch.save(torch.load(path), path)
        return task

    data = EvaluationData("shapes", split="val")
    with pytest.raises(CheckpointError, match=r"best\.ckpt: was replaced while it was read"):
        evaluate("segmentation", path, data, Evaluation(output=tmp_path / "out"), load=load_late)
    with pytest.raises(CheckpointError, match="was replaced"), unchanged(path, digest):
        pass  # what was read earlier is another one
    assert not (tmp_path / "out").exists()
