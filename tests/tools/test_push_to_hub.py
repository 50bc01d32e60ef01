"""tools/push_to_hub.py, and hf:// as a checkpoint of the other tools, on a stand-in for the hub."""

import json
import shutil

import pytest
import torch

import tasks  # noqa: F401 which finds datasets
from backbones.weights_download import sha256
from tasks import load_task


@pytest.fixture
def here(tmp_path, tool_here):
    """Tools as if they were started in an empty folder, which is returned with them."""
    work = tmp_path / "work"
    work.mkdir()
    return lambda *words: tool_here(*map(str, words), folder=work), work


@pytest.fixture
def evaluated(checkpoint, shapes, tmp_path, tool_here):
    """scores.json of the checkpoint."""
    data = ["--dataset", "voc", "--data-root", str(shapes), "--workers", "0", "--drawn", "0"]
    tool_here("eval_seg", "--checkpoint", str(checkpoint), *data, "--output", str(tmp_path / "eval"))
    return tmp_path / "eval" / "scores.json"


def push(checkpoint, *options):
    return ["push_to_hub", "--checkpoint", str(checkpoint), "--repo", "me/net", *map(str, options)]


def test_a_push_and_the_tools_that_take_it(hub, checkpoint, evaluated, shapes, here, tmp_path):
    tool, work = here
    license = ["--license", "other", "--license-name", "shapes-only"]
    said = tool(*push(checkpoint, *license, "--scores", evaluated))
    assert "every tool takes it as --checkpoint hf://me/net" in said and "no --license" not in said
    card = (hub / "me/net/README.md").read_text()
    miou = json.loads(evaluated.read_text())["miou"]
    assert f"| shapes | val | miou | {miou:.4f} |" in card and "shapes-only" in card
    assert str(tmp_path) not in card + (hub / "me/net/config.json").read_text()
    data = ["--dataset", "voc", "--data-root", shapes, "--workers", "0", "--drawn", "0"]
    said = tool("eval_seg", "--checkpoint", "hf://me/net", *data)
    written = json.loads((work / "runs/me_net/eval_val/scores.json").read_text())
    assert written["miou"] == miou and written["checkpoint"] in said
    assert written["checkpoint"].startswith("hf://me/net@")
    image = next((shapes / "JPEGImages").glob("val*"))
    tool("predict", "--checkpoint", written["checkpoint"], "--source", image, "--output", work / "out")
    assert len(list((work / "out").iterdir())) == 2
    again = ["--checkpoint", "hf://me/net", "--repo", "me/again"]
    tool("push_to_hub", *again, "--scores", work / "runs/me_net/eval_val/scores.json")
    assert load_task("hf://me/again").license.name == "shapes-only"
    assert sorted(path.name for path in work.iterdir()) == ["out", "runs"]


def test_an_export_from_the_hub_and_onto_it(hub, checkpoint, shapes, here):
    pytest.importorskip("onnxruntime")
    from deploy import load

    tool, work = here
    tool(*push(checkpoint, "--license", "apache-2.0"))
    said = tool("export", "--checkpoint", "hf://me/net", "--format", "onnx", "--size", "64", "64")
    path = work / "runs/me_net/model.onnx"
    assert f"wrote {path.relative_to(work)}" in said
    description = load(path).description
    assert description.license == "apache-2.0"
    assert description.checkpoint == sha256(hub / "me/net/model.safetensors")
    tool("push_to_hub", "--checkpoint", "hf://me/net", "--repo", "me/net", "--files", path)
    assert "| model.onnx |" in (hub / "me/net/README.md").read_text()
    assert load("hf://me/net/model.onnx").description == description
    image = next((shapes / "JPEGImages").glob("val*"))
    tool("predict", "--checkpoint", "hf://me/net/model.onnx", "--source", image, "--output", work / "out")
    assert len(list((work / "out").iterdir())) == 2


def test_what_lies_beside_an_exported_file_goes_with_it(hub, checkpoint, tmp_path):
    from deploy.description import Description
    from deploy.releasing import require_made_from
    from deploy.runtimes import load
    from deploy.seal import seal

    task = load_task(checkpoint, "cpu")
    outputs = {"output_kind": "logits", "outputs": ["logits"], "size": (64, 64), "input": "uint8"}
    told = {"task": task.kind, "spec": task.describe(), "precision": "float32", "made_by": {}, **outputs}
    for path, digest in ((tmp_path / "own.pte", sha256(checkpoint)), (tmp_path / "other.pte", "0" * 64)):
        path.write_bytes(b"program")
        path.with_suffix(".json").write_text(Description(**told, checkpoint=digest).to_json())
        seal(path.with_suffix(".json"), path)
    own, other = tmp_path / "own.pte", tmp_path / "other.pte"
    assert require_made_from([own], checkpoint) == [own, tmp_path / "own.json"]
    with pytest.raises(ValueError, match=r"other\.pte: was exported from another checkpoint than .*best\.ckpt"):
        require_made_from([own, other], checkpoint)
    task.push_to_hub("me/net", files=[own, tmp_path / "own.json"])
    (hub / "me/net/own.json").unlink()
    with pytest.raises(ValueError, match=r"hf://me/net@\w+: the repository has no file own\.json"):
        load("hf://me/net/own.pte")


@pytest.mark.parametrize(
    "options, said",
    [
        (["--repo", "net"], "net: is no name of a repository; write OWNER/NAME"),
        (["--checkpoint", "none.ckpt"], "none.ckpt: no such checkpoint"),
        (["--checkpoint", "hf://me/none"], "hf://me/none/config.json: could not fetch config.json ("),
        (["--scores", "none.json"], "--scores none.json: No such file"),
        (["--scores", "setup.py"], "--scores setup.py: is no scores.json of an evaluation"),
        (["--files", "none.onnx"], "--files none.onnx: no such file"),
        (["--files", "setup.py"], "--files setup.py: exported files end in .onnx"),
        (["--license", "CC BY"], "--license CC BY: write small letters"),
        (["--license", "mit", "--license-name", "x"], "--license-name x: is for --license other"),
        (["--license-link", "x"], "--license-link is for --license other"),
    ],
)
def test_what_is_refused(options, said, checkpoint, tmp_path, tool_here, monkeypatch):
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    words = [*push(checkpoint), "--folder", str(tmp_path / "net"), *options]
    found = tool_here(*words, succeeds=False)
    assert said in found
    assert len(found.strip().splitlines()) == 1 and not (tmp_path / "net").exists()


def test_without_a_token(hub, checkpoint, tool_here, monkeypatch):
    monkeypatch.delenv("HF_TOKEN")
    found = tool_here(*push(checkpoint, "--license", "mit"), succeeds=False)
    assert "me/net: could not be put on the hub (no token); log in with hf auth login, or set HF_TOKEN" in found
    assert not any(hub.iterdir())


def test_scores_of_another_checkpoint(checkpoint, evaluated, tmp_path, tool_here):
    folder = ["--folder", tmp_path / "net"]
    moved = tmp_path / "elsewhere.ckpt"
    shutil.copy(checkpoint, moved)
    tool_here(*push(moved, *folder, "--scores", evaluated))  # the same weights under another name
    twice = tool_here(*push(checkpoint, *folder, "--scores", evaluated, evaluated), succeeds=False)
    assert "shapes/val/miou is in another one of these files too" in twice
    other_one = tmp_path / "other.ckpt"
    torch.save(torch.load(checkpoint), other_one)
    assert "not of" in tool_here(*push(other_one, *folder, "--scores", evaluated), succeeds=False)
    content = json.loads(evaluated.read_text())
    other = tmp_path / "classes.json"
    other.write_text(json.dumps(content | {"iou": {"a": 1.0}}))
    assert "is of other classes than" in tool_here(*push(checkpoint, *folder, "--scores", other), succeeds=False)


@pytest.mark.parametrize("said, right", [("quick/best.ckpt", True), ("other/best.ckpt", False), ("last.ckpt", False)])
def test_scores_without_a_hash_go_by_the_checkpoints_name(said, right, checkpoint, evaluated, tmp_path, tool_here):
    content = json.loads(evaluated.read_text())
    del content["sha256"]
    old = tmp_path / "old.json"
    old.write_text(json.dumps(content | {"checkpoint": said, "tta_flip": True}))
    tool_here(*push(checkpoint, "--folder", tmp_path / "net", "--scores", old), succeeds=right)
    assert not right or "| miou (flipped) |" in (tmp_path / "net/README.md").read_text()
