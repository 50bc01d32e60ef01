"""The Hugging Face hub: downloads from a local server that answers as it does, uploads up to the library's door."""

import json
import shutil
import threading
import time
from functools import partial
from hashlib import sha256
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import huggingface_hub
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
from backbones.publish import write_model
from tasks import SegmentationSpec, SegmentationTask, detection_table, segmentation_table
from tasks.detection.weights import start_detection_normalisation


class Hub(BaseHTTPRequestHandler):
    """GET and HEAD of /OWNER/NAME/resolve/REVISION/FILE out of a folder.

    A file named `fault` in a repository's folder holds how the server fails: silent, cut or other.
    """

    def __init__(self, *args, root, **kwargs):
        self.root = root
        super().__init__(*args, **kwargs)

    def do_HEAD(self):
        self.do_GET(body=False)

    def do_GET(self, body=True):
        owner, name, _, _, *file = self.path.strip("/").split("/")
        repository = self.root / owner / name
        path = repository.joinpath(*file)
        fault = (repository / "fault").read_text() if (repository / "fault").is_file() else ""
        if fault == "silent":
            time.sleep(5)
            return
        if not path.is_file():
            self.send_response(404)
            self.send_header("X-Error-Code", "EntryNotFound" if repository.is_dir() else "RepoNotFound")
            self.send_header("X-Repo-Commit", "0" * 40)
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        content = path.read_bytes()
        etag = sha256(content).hexdigest()
        content = bytes(len(content)) if fault == "other" else content
        self.send_response(200)
        self.send_header("X-Repo-Commit", "0" * 40)
        self.send_header("ETag", f'"{etag}"')
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if body:
            self.wfile.write(content[: len(content) // 2] if fault == "cut" else content)

    def log_message(self, *_):
        pass


@pytest.fixture
def hub(tmp_path, monkeypatch):
    """The folder of a local hub; what is pushed lands there."""
    root = tmp_path / "hub"
    root.mkdir()
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Hub, root=root))
    server.handle_error = lambda *_: None
    threading.Thread(target=server.serve_forever, daemon=True).start()
    address = f"http://127.0.0.1:{server.server_port}"  # HF_ENDPOINT is read when the library is imported
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", address + "/{repo_id}/resolve/{revision}/{filename}")
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))

    def upload_folder(_self, repo_id, folder_path, commit_message):
        assert commit_message
        shutil.copytree(folder_path, root / repo_id, dirs_exist_ok=True)

    def create_repo(_self, repo_id, private, exist_ok):
        assert exist_ok
        (root / repo_id).mkdir(parents=True)
        (root / repo_id / "private").write_text(str(private))

    monkeypatch.setattr(huggingface_hub.HfApi, "upload_folder", upload_folder)
    monkeypatch.setattr(huggingface_hub.HfApi, "create_repo", create_repo)
    yield root
    server.shutdown()


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
    assert "/me/net/resolve/main/model.safetensors elsewhere and give that file: --weights FILE" in said
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


def test_a_hub_that_refuses(hub, monkeypatch):
    def refuse(*_, **__):
        raise huggingface_hub.errors.LocalTokenNotFoundError("Token is required\nlog in first")

    monkeypatch.setattr(huggingface_hub.HfApi, "create_repo", refuse)
    with pytest.raises(ConnectionError, match=r"me/net: could not be put on the hub \(Token is required\)"):
        push_to_hub(create_backbone("v3-small"), "me/net")


def test_a_file_that_is_no_checkpoint(tmp_path):
    torch.save(create_backbone("v3-small").state_dict(), tmp_path / "plain.pth")
    with pytest.raises(ValueError, match=r"plain\.pth: not a checkpoint of this package"):
        write_model(tmp_path / "plain.pth", "me/net", tmp_path)
    assert not (tmp_path / "README.md").exists()
