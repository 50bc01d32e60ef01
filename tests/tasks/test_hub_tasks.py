"""Whole tasks on a stand-in for the Hugging Face hub, and in folders: there and back, and what is refused."""

import json
import shutil

import numpy as np
import pytest
import torch
import yaml
from huggingface_hub import constants
from safetensors.torch import load_file, save_file

from backbones import BackboneError, create_backbone, create_table, load_weights, push_to_hub
from tasks import (
    CheckpointError,
    ClassificationSpec,
    DetectionSpec,
    DetectionTask,
    JointSpec,
    License,
    SegmentationSpec,
    SegmentationTask,
    TaskError,
    load_task,
)
from tasks.checkpoints import read_checkpoint
from tasks.classification.distillation import load_teacher
from tasks.classification.options import ClassificationOptions
from tasks.detection.weights import load_detection_weights
from tasks.hub_checkpoints import hub_address, pinned, place
from tasks.wings import WINGS

NAMES, COLOURS = ["cat", "d|og"], [(1, 2, 3), (255, 0, 0)]
SCORES = {"pets/test/miou": 0.5, "pets/test/images": 7.0}
TABLE = create_table("v3-small", width=0.25)
SPECS = {
    "segmentation": SegmentationSpec(TABLE, "lraspp", NAMES, COLOURS, (64, 64), auxiliary=True),
    "detection": DetectionSpec(TABLE, "ssdlite", NAMES, COLOURS, (64, 64)),
    "classification": ClassificationSpec(TABLE, "classifier", NAMES, COLOURS, (32, 32), mean=(0.5, 0.4, 0.3)),
    "joint": JointSpec(TABLE, "lraspp+ssdlite", NAMES, COLOURS, (64, 64), box_names=["cow"], box_colours=[(0, 9, 0)]),
}
IMAGES = [np.random.default_rng(0).integers(0, 256, (70, 50, 3), dtype=np.uint8)]


def make(kind):
    """A task whose batch norms have seen something."""
    task = WINGS[kind].task(SPECS[kind])
    for module in task.network.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.running_mean.normal_()
            module.running_var.uniform_(0.5, 2)
    return task.eval().to("cpu")


def same(one, other):
    found, expected = other.predict(IMAGES), one.predict(IMAGES)
    for a, b in zip(found, expected, strict=True):
        for x, y in zip(arrays(a), arrays(b), strict=True):
            np.testing.assert_array_equal(x, y)
    return True


def arrays(found):
    if isinstance(found, tuple):
        return [array for part in found for array in arrays(part)]
    return [found.boxes, found.scores, found.labels] if hasattr(found, "scores") else [found]


@pytest.mark.parametrize("kind", SPECS)
def test_there_and_back(kind, hub, capsys):
    task = make(kind)
    license = License("other", "pets-only", "https://pets.example")
    assert task.push_to_hub("me/net", license=license, scores=SCORES) == "hf://me/net"
    for again in (load_task("hf://me/net", "cpu"), type(task).from_pretrained("me/net", device="cpu")):
        assert again.spec == task.spec and same(task, again)
        assert again.license == license and again.scores == SCORES
    said = capsys.readouterr().out.split()
    assert len(said) == 2 and said[0] == said[1] == pinned("hf://me/net")
    assert len(said[0]) == len("hf://me/net@") + 40
    assert {path.name for path in (hub / "me/net").iterdir()} == {
        "README.md",
        "config.json",
        "model.safetensors",
        "private",
    }


@pytest.mark.parametrize("kind", SPECS)
def test_a_folder_and_back(kind, tmp_path):
    task = make(kind)
    (tmp_path / "x.onnx").write_bytes(b"12")
    written = task.save_pretrained(tmp_path / "net", license="mit", scores=SCORES, files=[tmp_path / "x.onnx"])
    assert sorted(written) == sorted((tmp_path / "net").iterdir())
    again = type(task).from_pretrained(tmp_path / "net", device="cpu")
    assert same(task, again) and str(again.license) == "mit"
    assert same(task, load_task(tmp_path / "net/model.safetensors", "cpu"))
    again.save_pretrained(tmp_path / "twice", "me/net")
    assert load_task(tmp_path / "twice/model.safetensors", "cpu").scores == SCORES
    assert json.loads((tmp_path / "twice/config.json").read_text())["names"] == NAMES


def test_the_card_says_what_it_is(tmp_path):
    task = make("segmentation")
    (tmp_path / "x.onnx").write_bytes(bytes(2_500_000))
    license = License("other", "pets-only", "https://pets.example")
    task.save_pretrained(tmp_path / "net", "me/net", license, SCORES, [tmp_path / "x.onnx"])
    card = (tmp_path / "net/README.md").read_text()
    header = yaml.safe_load(card.split("---\n")[1])
    assert header["license"] == "other" and header["license_name"] == "pets-only"
    assert header["license_link"] == "https://pets.example"
    assert header["library_name"] == "mobiledense" and header["pipeline_tag"] == "image-segmentation"
    (result,) = header["model-index"][0]["results"]
    assert result["dataset"] == {"name": "pets", "type": "pets", "split": "test"}
    assert result["metrics"] == [{"type": "mean_iou", "value": 0.5, "name": "miou"}]
    assert 'SegmentationTask.from_pretrained("me/net")' in card and "--checkpoint hf://me/net" in card
    assert "| 0 | cat | #010203 |\n| 1 | d\\|og | #ff0000 |" in card
    assert "| pets | test | miou | 0.5000 |\n| pets | test | images | 7 |" in card
    assert "| x.onnx | 2.50 |" in card and "pets-only (https://pets.example)" in card
    assert "at 64x64" in card and "0.485, 0.456, 0.406" in card


def test_the_card_of_a_task_of_which_nothing_else_is_told(tmp_path):
    make("detection").save_pretrained(tmp_path / "net")
    card = (tmp_path / "net/README.md").read_text()
    header = yaml.safe_load(card.split("---\n")[1])
    assert header["pipeline_tag"] == "object-detection" and not {"license", "model-index", "datasets"} & header.keys()
    assert "## License" not in card and "## Scores" not in card and "## Exported files" not in card


def test_the_card_of_a_joint_network_has_the_classes_of_both(tmp_path):
    make("joint").save_pretrained(tmp_path / "net")
    card = (tmp_path / "net/README.md").read_text()
    assert "from tasks import JointTask" in card and "masks and boxes = task.predict" not in card
    assert (
        "| 1 | d\\|og | #ff0000 |\n\nOf boxes:\n\n| index | name | colour |\n|---|---|---|\n| 0 | cow | #000900 |"
        in card
    )


def test_a_revision(hub):
    first, second = make("segmentation"), make("segmentation")
    first.push_to_hub("me/net")
    load_task("hf://me/net", "cpu")
    before = pinned("hf://me/net")
    second.push_to_hub("me/net")
    assert same(second, load_task("hf://me/net", "cpu"))
    assert same(first, load_task(before, "cpu"))
    assert same(first, SegmentationTask.from_pretrained("me/net", revision=before.partition("@")[2], device="cpu"))
    with pytest.raises(FileNotFoundError, match="the repository has no revision v9"):
        SegmentationTask.from_pretrained("me/net", revision="v9")


def test_what_is_in_the_cache_needs_no_network(hub, monkeypatch):
    task = make("segmentation")
    task.push_to_hub("me/net")
    load_task("hf://me/net", "cpu")
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    assert same(task, load_task("hf://me/net", "cpu")) and same(task, load_task(pinned("hf://me/net"), "cpu"))
    with pytest.raises(ConnectionError, match=r"could not fetch config\.json .*download model\.safetensors of you/net"):
        load_task("hf://you/net")


def test_a_task_of_another_kind(hub):
    make("detection").push_to_hub("me/net")
    with pytest.raises(CheckpointError, match="a checkpoint for detection, not for segmentation"):
        SegmentationTask.from_pretrained("me/net")


def test_a_file_of_a_repository(hub, tmp_path):
    task = make("segmentation")
    task.push_to_hub("me/net")
    shutil.copy(hub / "me/net/model.safetensors", hub / "me/net/other.safetensors")
    assert same(task, load_task("hf://me/net/other.safetensors", "cpu"))
    torch.save({"state_dict": {}}, hub / "me/net/best.ckpt")
    with pytest.raises(CheckpointError, match=r"best\.ckpt: files from the hub end in \.safetensors"):
        load_task("hf://me/net/best.ckpt")


def strange(folder):
    (folder / "config.json").write_text('{"model_type": "bert"}')


def without_weights(folder):
    (folder / "model.safetensors").unlink()


def without_config(folder):
    (folder / "config.json").unlink()


def cut(folder):
    content = (folder / "model.safetensors").read_bytes()
    (folder / "model.safetensors").write_bytes(content[:-1000])


def changed(folder):
    content = bytearray((folder / "model.safetensors").read_bytes())
    content[-1000] ^= 1
    (folder / "model.safetensors").write_bytes(content)


def mixed(folder):
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"names": ["dog", "cat"]}))


def bare(folder):
    save_file(load_file(folder / "model.safetensors"), folder / "model.safetensors")


@pytest.mark.parametrize(
    "damage, said",
    [
        (strange, r"hf://me/net@\w+: its config\.json names no task, classes and table"),
        (without_weights, r"the repository has no file model\.safetensors; a task of MobileDense has config\.json and"),
        (without_config, r"the repository has no file config\.json; a task of MobileDense has"),
        (cut, r"hf://me/net@\w+: model\.safetensors is damaged"),
        (changed, r"model\.safetensors: damaged, its checksum"),
        (mixed, r"model\.safetensors and config\.json are not of one push"),
        (bare, r"model\.safetensors and config\.json are not of one push"),
    ],
)
def test_damaged_and_strange_repositories(damage, said, hub):
    make("segmentation").push_to_hub("me/net")
    damage(hub / "me/net")
    with pytest.raises(CheckpointError, match=said) as caught:
        load_task("hf://me/net")
    assert "\n" not in str(caught.value)


def test_a_backbone_alone_is_no_checkpoint(hub):
    push_to_hub(create_backbone("v3-small"), "me/net")
    with pytest.raises(CheckpointError, match="a backbone alone goes to --backbone and --weights"):
        load_task("hf://me/net")


def test_a_task_is_a_backbone_too(hub):
    task = make("segmentation")
    task.push_to_hub("me/net")
    backbone = create_backbone("hf://me/net", weights="hf://me/net")
    own = task.network.backbone.state_dict()
    assert all(torch.equal(value, own[key]) for key, value in backbone.state_dict().items())
    assert not load_weights(create_backbone("v3-small", width=0.25), f"{pinned('hf://me/net')}").missing


def test_start_weights_of_a_detector_keep_its_classes(hub):
    task = make("detection")
    task.push_to_hub("me/net")
    other = DetectionTask(DetectionSpec(TABLE, "ssdlite", ["cat", "cow"], COLOURS, (64, 64)))
    said = load_detection_weights(other.network, other.spec, "hf://me/net")
    assert "classes kept: cat; new: cow" in said


def test_a_teacher_on_the_hub(hub):
    task = make("classification")
    task.push_to_hub("me/net")
    teacher = load_teacher(ClassificationOptions(teacher="hf://me/net"), NAMES[::-1])
    assert teacher.order == [1, 0] and list(teacher.mean) == [0.5, 0.4, 0.3]


@pytest.mark.parametrize(
    "told, said",
    [
        ({"license": "CC BY"}, "--license CC BY: write small letters"),
        ({"license": "other"}, "--license other needs its name"),
        ({"scores": {"miou": 0.5}}, "scores cannot have 'miou': 0.5; write \"DATA/SPLIT/METRIC\": a number"),
        ({"scores": {"a/b/c": float("nan")}}, "scores cannot have 'a/b/c': nan"),
        ({"files": ["none.onnx"]}, r"--files none\.onnx: no such file"),
    ],
)
def test_what_cannot_be_told(told, said, tmp_path):
    with pytest.raises(TaskError, match=said):
        make("classification").save_pretrained(tmp_path / "net", **told)
    assert not (tmp_path / "net").exists()


def test_names_of_files_that_are_taken(tmp_path):
    (tmp_path / "config.json").write_text("")
    with pytest.raises(TaskError, match=r"there is another file config\.json; rename it"):
        make("classification").save_pretrained(tmp_path / "net", files=[tmp_path / "config.json"])


def test_a_folded_task_is_refused(tmp_path):
    with pytest.raises(TaskError, match="folded for prediction; load it anew"):
        make("segmentation").fold().save_pretrained(tmp_path)


def test_a_license_that_the_hub_does_not_know(hub):
    with pytest.raises(ConnectionError, match=r'Invalid metadata in README\.md\. - "license" must be one of') as caught:
        make("classification").push_to_hub("me/net", license="no-such-license")
    assert "\n" not in str(caught.value)


def test_what_is_public_does_not_become_private_by_itself(hub):
    task = make("classification")
    task.push_to_hub("me/net")
    with pytest.raises(ConnectionError, match="it is there already, and public"):
        task.push_to_hub("me/net", private=True)
    task.push_to_hub("me/other", private=True)
    task.push_to_hub("me/other", private=True)


@pytest.mark.parametrize("name", ["net", "me/net/more", "m e/net", ""])
def test_names_that_no_repository_has(name, hub):
    with pytest.raises(BackboneError):
        make("classification").push_to_hub(name)
    with pytest.raises(BackboneError):
        load_task(f"hf://{name}" if name != "me/net/more" else "hf://me")


def test_paths_and_addresses(tmp_path):
    from pathlib import Path

    assert hub_address(Path("hf://me/net@v1")) == hub_address("hf://me/net@v1") == "hf://me/net@v1"
    assert hub_address(tmp_path / "best.ckpt") is None
    assert place(Path("hf://me/net@v1")) == Path("runs/me_net/model.safetensors")
    assert place(Path("hf://me/net/x/best.onnx")) == Path("runs/me_net/best.onnx")
    assert place(tmp_path / "best.ckpt") == tmp_path / "best.ckpt"


def test_a_description_with_other_entries_is_refused(tmp_path):
    make("classification").save_pretrained(tmp_path, license="mit")
    content = read_checkpoint(tmp_path / "model.safetensors")
    torch.save(
        {"state_dict": content["state_dict"], "mobiledense": content["mobiledense"] | {"license": "mit"}},
        tmp_path / "x.ckpt",
    )
    with pytest.raises(CheckpointError, match="license cannot be 'mit'"):
        load_task(tmp_path / "x.ckpt")
