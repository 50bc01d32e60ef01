"""The Hugging Face hub: downloads from and uploads to a local server that answers as it does."""

import json
import time
from functools import partial

import pytest
import torch
from huggingface_hub import constants
from safetensors.torch import save_file

from backbones import (
    BackboneError,
    Table,
    build_backbone,
    create_backbone,
    create_table,
    load_weights,
    push_to_hub,
    start_normalisation,
)
from backbones.hub import cached_commit, split_address
from backbones.publish import write_model
from tasks import SegmentationSpec, SegmentationTask, detection_table, segmentation_table
from tasks.detection.weights import start_detection_normalisation


@pytest.mark.parametrize("name", ["v3-small", "timm:resnet10t"])
def test_there_and_back(name, hub):
    backbone = create_backbone(name)
    assert push_to_hub(backbone, "me/net", private=True) == "hf://me/net"
    assert (hub / "me/net/private").read_text() == "True"
    again = create_backbone("hf://me/net", weights="hf://me/net")
    assert again.table == backbone.table
    assert all(torch.equal(value, backbone.state_dict()[key]) for key, value in again.state_dict().items())


def test_a_table_on_the_hub_takes_an_output_stride(hub):
    push_to_hub(create_backbone("v2", width=0.35, rf2=True), "me/net")
    assert segmentation_table("hf://me/net", "lraspp").output_stride == 16
    table = create_table("hf://me/net", output_stride=16)
    assert table == create_table("v2", width=0.35, rf2=True, output_stride=16)
    with pytest.raises(ValueError, match=r'hf://me/net has no option "width" \(it has output_stride, dilate_first'):
        create_table("hf://me/net", width=0.5)


@pytest.mark.parametrize("table", [detection_table, partial(segmentation_table, head="lraspp")])
def test_a_classifiers_stem_for_small_images_is_not_for_dense_networks(hub, table):
    push_to_hub(create_backbone("v1", width=0.25, small_images=True), "me/net")
    assert create_table("hf://me/net").small_images and not table("hf://me/net").small_images


def test_the_card_says_what_it_is_and_how_to_load_it(tmp_path):
    write_model(create_backbone("v3-small"), "me/net", tmp_path)
    card = (tmp_path / "README.md").read_text()
    assert card.startswith("---\nlibrary_name: mobiledense\n")
    assert "927,008 parameters, 54.9 M multiply-adds at 224x224" in card
    assert 'create_backbone("hf://me/net", weights="hf://me/net")' in card
    assert "| 1 | 3 | 16 | 16 | 8 | relu | 2 |" in card and "| last | 1 | | 576 | | hard_swish | 1 |" in card
    assert "## Training" not in card
    assert {path.name for path in tmp_path.iterdir()} == {"README.md", "model.safetensors", "table.json"}
    assert Table.from_dict(json.loads((tmp_path / "table.json").read_text())) == create_table("v3-small")


def test_a_checkpoints_card_tells_its_training(checkpoint, tmp_path):
    write_model(checkpoint, "me/net", tmp_path)
    card = (tmp_path / "README.md").read_text()
    assert "Trained for segmentation of 6 classes (background, disc, square, triangle, star, cross) at 64x64" in card
    states = [state for state in torch.load(checkpoint)["callbacks"].values() if state.get("monitor") == "val/miou"]
    assert f"best val/miou {float(states[0]['best_model_score']):.4f}." in card
    assert "multiply-adds at 64x64" in card
    task = SegmentationTask.load(checkpoint)
    backbone = build_backbone(task.spec.table)
    load_weights(backbone, tmp_path / "model.safetensors")
    own = task.network.backbone.state_dict()
    assert all(torch.equal(value, own[key]) for key, value in backbone.state_dict().items())


def test_a_named_file_of_a_repository_without_a_table(hub):
    backbone = create_backbone("v3-small")
    (hub / "me/net").mkdir(parents=True)
    torch.save(backbone.state_dict(), hub / "me/net/small.pth")
    again = create_backbone("v3-small", weights="hf://me/net/small.pth")
    assert torch.equal(again.stem.conv.weight, backbone.stem.conv.weight)


def test_a_repository_of_timms_kind_has_no_table(hub, tmp_path):
    push_to_hub(create_backbone("v3-small"), "me/net")
    (hub / "me/net/table.json").unlink()
    assert not load_weights(create_backbone("v3-small"), "hf://me/net").missing
    with pytest.raises(FileNotFoundError, match=r"hf://me/net/table\.json: the repository has no file table\.json"):
        create_table("hf://me/net")


def test_another_architecture_on_the_hub(hub):
    push_to_hub(create_backbone("v3-small"), "me/net")
    with pytest.raises(ValueError, match="hf://me/net: holds mobilenet_v3_small, not mobilenet_v3_large; other shape"):
        create_backbone("v3-large", weights="hf://me/net")


@pytest.mark.parametrize(
    ("address", "error", "said"),
    [
        ("hf://me", ValueError, "write hf://OWNER/NAME, or hf://OWNER/NAME/FILE"),
        ("hf://m e/net", BackboneError, "hf://m e/net: Repo id must use alphanumeric chars"),
        ("hf://you/net", FileNotFoundError, "hf://you/net: the hub has no such repository, or it is private"),
        ("hf://me/net/none.pth", FileNotFoundError, "the repository has no file none.pth"),
    ],
)
def test_what_is_not_there(hub, address, error, said):
    push_to_hub(create_backbone("v3-small"), "me/net")
    with pytest.raises(error, match=said) as caught:
        create_backbone("v3-small", weights=address)
    assert "\n" not in str(caught.value)


def test_without_a_network(hub, monkeypatch):
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(ConnectionError, match=r"hf://me/net: could not fetch model\.safetensors \(") as caught:
        create_backbone("v3-small", weights="hf://me/net")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("fault", ["silent", "cut", "other"])
def test_a_hub_that_fails_is_one_line(fault, hub, monkeypatch, capfd):
    push_to_hub(create_backbone("v3-small"), "me/net")
    (hub / "me/net/fault").write_text(fault)
    monkeypatch.setattr("backbones.weights_download.WAIT", 0.5)
    monkeypatch.setattr("huggingface_hub.file_download.time.sleep", lambda _: None)  # between attempts
    before = time.monotonic()
    with pytest.raises(ConnectionError) as caught:
        create_backbone("v3-small", weights="hf://me/net")
    said = str(caught.value)
    assert said.startswith("hf://me/net: could not fetch model.safetensors (") and "\n" not in said
    assert "/me/net/resolve/main/model.safetensors elsewhere and give its path in place of the weights" in said
    assert fault != "silent" or time.monotonic() - before < 3
    assert "Error while downloading" not in capfd.readouterr().err
    (hub / "me/net/fault").unlink()
    assert not load_weights(create_backbone("v3-small"), "hf://me/net").missing


@pytest.mark.parametrize("ours", [True, False])
def test_what_is_in_the_cache_needs_no_network(ours, hub, monkeypatch):
    push_to_hub(create_backbone("v3-small"), "me/net")
    if not ours:  # plain weights, and neither a table nor timm's config beside them
        save_file(create_backbone("v3-small").state_dict(), hub / "me/net/model.safetensors")
        (hub / "me/net/table.json").unlink()
    load_weights(create_backbone("v3-small"), "hf://me/net")
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    backbone = create_backbone("v3-small")
    assert not load_weights(backbone, "hf://me/net").missing
    assert start_normalisation(backbone.table, "hf://me/net") == {}


@pytest.mark.parametrize("name", ["v3-small", "timm:resnet10t"])
def test_normalisation_goes_to_the_hub_and_back(name, hub, tmp_path):
    expected = {"mean": (0.1, 0.2, 0.3), "std": (0.4, 0.5, 0.6)}
    backbone = create_backbone(name)
    backbone.normalisation = expected
    push_to_hub(backbone, "me/net")
    assert "Images had mean (0.1, 0.2, 0.3) taken off" in (hub / "me/net/README.md").read_text()
    table = create_table("hf://me/net")
    assert start_normalisation(table, "hf://me/net") == expected
    assert start_normalisation(table, hub / "me/net/model.safetensors") == expected
    assert start_detection_normalisation(detection_table("hf://me/net"), "hf://me/net") == expected
    again = create_backbone("hf://me/net", weights="hf://me/net")
    assert again.normalisation == expected
    write_model(again, "me/again", tmp_path)
    assert start_normalisation(table, tmp_path / "model.safetensors") == expected


def test_a_checkpoints_normalisation_goes_to_the_hub(hub, tmp_path):
    spec = SegmentationSpec(
        create_table("v3-small"), "lraspp", ["a", "b"], [(0, 0, 0)] * 2, (64, 64), mean=(0.5,) * 3, std=(0.25,) * 3
    )
    task, content = SegmentationTask(spec), {}
    task.on_save_checkpoint(content)
    torch.save({**content, "state_dict": task.state_dict()}, tmp_path / "best.ckpt")
    push_to_hub(tmp_path / "best.ckpt", "me/net")
    assert start_normalisation(spec.table, "hf://me/net") == {"mean": (0.5,) * 3, "std": (0.25,) * 3}


@pytest.mark.parametrize(
    ("said", "expected"),
    [([0.5, 0.5, 0.5], {"mean": (0.5,) * 3, "std": (0.25,) * 3}), ("grey", {}), (None, {})],
)
def test_timms_repositories_say_how_they_were_trained(said, expected, hub):
    folder = hub / "timm/resnet10t.c3_in1k"
    folder.mkdir(parents=True)
    save_file(create_backbone("timm:resnet10t").state_dict(), folder / "model.safetensors")
    config = {"pretrained_cfg": {"mean": said, "std": [0.25, 0.25, 0.25]}}
    (folder / "config.json").write_text(json.dumps(config))
    assert start_normalisation(create_table("timm:resnet10t"), "hf://timm/resnet10t.c3_in1k") == expected


def test_a_checkpoint_that_does_not_say_what_it_is_of(tmp_path):
    torch.save({"mobiledense": {"task": "detection"}, "state_dict": {"a": torch.zeros(1)}}, tmp_path / "best.ckpt")
    with pytest.raises(ValueError, match=r"best\.ckpt: it does not say of its network what its 'table' is"):
        write_model(tmp_path / "best.ckpt", "me/net", tmp_path)


@pytest.mark.parametrize("content", ["garbage", "[1, 2]", '{"colour": "red"}'])
def test_a_broken_table(hub, content):
    push_to_hub(create_backbone("v3-small"), "me/net")
    (hub / "me/net/table.json").write_text(content)
    with pytest.raises(ValueError, match=r"hf://me/net: .*no backbone's table"):
        create_table("hf://me/net")


@pytest.mark.parametrize(
    "repository, token, said",
    [
        (
            "me/net",
            None,
            r"me/net: could not be put on the hub \(no token\); log in with hf auth login, or set HF_TOKEN",
        ),
        ("me/net", "hf_old", r"me/net: could not be put on the hub \(.*401.*; log in with hf auth login"),
        ("you/net", "hf_standin", r"you/net: could not be put on the hub \(.*403.*; this token may not write there"),
        ("net", "hf_standin", "net: is no name of a repository; write OWNER/NAME"),
        ("m e/net", "hf_standin", "m e/net: Repo id must use alphanumeric chars"),
    ],
)
def test_a_hub_that_refuses(hub, repository, token, said, monkeypatch):
    monkeypatch.setenv("HF_TOKEN", token) if token else monkeypatch.delenv("HF_TOKEN")
    with pytest.raises((ConnectionError, BackboneError), match=said) as caught:
        push_to_hub(create_backbone("v3-small"), repository)
    assert "\n" not in str(caught.value)
    assert not any(hub.iterdir())


def test_a_hub_that_cannot_be_reached(hub, monkeypatch):
    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:9")
    with pytest.raises(ConnectionError, match=r"me/net: could not be put on the hub \(.+\)") as caught:
        push_to_hub(create_backbone("v3-small"), "me/net")
    assert "\n" not in str(caught.value)


def test_a_push_takes_what_an_earlier_one_made_of_other_weights(hub):
    push_to_hub(create_backbone("v3-small"), "me/net")
    for name in ("best.onnx", "best.json", "photo.png"):
        (hub / "me/net" / name).write_bytes(b"x")
    push_to_hub(create_backbone("v2"), "me/net")
    assert {path.name for path in (hub / "me/net").iterdir()} == {
        "README.md",
        "model.safetensors",
        "table.json",
        "photo.png",
        "private",
    }


def test_a_revision_stays_what_it_was(hub):
    push_to_hub(create_backbone("v3-small"), "me/net")
    load_weights(create_backbone("v3-small"), "hf://me/net")
    before = cached_commit("hf://me/net")
    push_to_hub(create_backbone("v2"), "me/net")
    assert create_table("hf://me/net").name == "mobilenet_v2"
    assert create_table(f"hf://me/net@{before}").name == "mobilenet_v3_small"
    with pytest.raises(FileNotFoundError, match=r"hf://me/net@v9/table\.json: the repository has no revision v9"):
        create_table("hf://me/net@v9")


@pytest.mark.parametrize(
    "address, parts",
    [
        ("hf://me/net", ("me/net", "", "")),
        ("hf://me/net@v1/a/b.pth", ("me/net", "v1", "a/b.pth")),
        ("hf://me/net@refs/pr/3", ("me/net", "refs/pr/3", "")),
        ("hf://me/net@refs/pr/3/b.pth", ("me/net", "refs/pr/3", "b.pth")),
    ],
)
def test_addresses(address, parts):
    assert split_address(address) == parts and split_address(address).of(parts[2]) == address


def test_a_file_that_is_no_checkpoint(tmp_path):
    torch.save(create_backbone("v3-small").state_dict(), tmp_path / "plain.pth")
    with pytest.raises(ValueError, match=r"plain\.pth: not a checkpoint of this package"):
        write_model(tmp_path / "plain.pth", "me/net", tmp_path)
    assert not (tmp_path / "README.md").exists()
