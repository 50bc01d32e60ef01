"""Files that a user may give as weights: each that cannot be used is refused in one line that names it."""

import io
import json
import os
import struct
import zipfile

import pytest
import torch

from backbones import create_backbone, load_weights, start_normalisation, weights_files
from backbones.weights_files import read_torch, read_weights


class Bomb:
    """Runs a command when it is unpickled."""

    def __reduce__(self):
        return os.mkdir, ("exploded",)


def saved(content) -> bytes:
    buffer = io.BytesIO()
    torch.save(content, buffer)
    return buffer.getvalue()


def archive(compression) -> bytes:
    """A weights file of PyTorch's, with 10 MB of zeros, packed anew."""
    buffer = io.BytesIO()
    content = io.BytesIO(saved({"a": torch.zeros(2_500_000)}))
    with zipfile.ZipFile(content) as theirs, zipfile.ZipFile(buffer, "w", compression) as ours:
        for name in theirs.namelist():
            ours.writestr(name, theirs.read(name))
    return buffer.getvalue()


def script() -> bytes:
    buffer = io.BytesIO()
    torch.jit.save(torch.jit.script(torch.nn.ReLU()), buffer)
    return buffer.getvalue()


def lying_header() -> bytes:
    header = json.dumps({"a": {"dtype": "F32", "shape": [10**9], "data_offsets": [0, 4 * 10**9]}}).encode()
    return struct.pack("<Q", len(header)) + header + bytes(64)


UNREADABLE = {
    "bomb.pth": (lambda: saved(Bomb()), "it holds other objects than tensors and plain values, or is damaged"),
    "script.pt": (script, r"a TorchScript archive; save the state_dict\(\) of its network instead"),
    "packed.pth": (lambda: archive(zipfile.ZIP_DEFLATED), "it unpacks to more than its own size"),
    "keras.h5": (lambda: b"\x89HDF\r\n\x1a\n" + bytes(800), "no PyTorch file"),
    "empty.pth": (lambda: b"", "it is empty"),
    "text.pth": (lambda: b"hello\n" * 100_000, "no PyTorch file"),
    "pickle.pth": (lambda: b"\x80\x02" + b"q" * 1000, "it is damaged, or of another kind"),
    "lying.safetensors": (lying_header, "it is damaged, or of another kind"),
    "long.safetensors": (lambda: struct.pack("<Q", 2**60) + b"{}", "it is damaged, or of another kind"),
}


@pytest.mark.filterwarnings("ignore")  # torch would rather not write scripts
@pytest.mark.parametrize("name", UNREADABLE)
def test_what_cannot_be_read(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write, said = UNREADABLE[name]
    (tmp_path / name).write_bytes(write())
    with pytest.raises(ValueError, match=rf"{name}: not a readable weights file \({said}\)$") as caught:
        load_weights(create_backbone("v3-small"), tmp_path / name)
    assert "\n" not in str(caught.value) and "weights_only" not in str(caught.value)
    assert not (tmp_path / "exploded").exists()


def test_a_plain_archive_packed_anew_is_read(tmp_path):
    (tmp_path / "plain.pth").write_bytes(archive(zipfile.ZIP_STORED))
    assert read_weights(tmp_path / "plain.pth")[0]["a"].shape == (2_500_000,)


def test_a_pipe_is_no_file(tmp_path):
    os.mkfifo(tmp_path / "pipe.pth")
    with pytest.raises(FileNotFoundError, match=r"pipe\.pth: no such weights file"):
        read_weights(tmp_path / "pipe.pth")


def test_another_word_for_the_file(tmp_path):
    (tmp_path / "a.ckpt").write_bytes(b"")
    with pytest.raises(ValueError, match=r"a\.ckpt: not a readable checkpoint \(it is empty\)"):
        read_torch(tmp_path / "a.ckpt", "checkpoint")


@pytest.mark.parametrize(
    "content",
    [
        {1: torch.zeros(3), 2: torch.zeros(3)},
        {("a", 1): torch.zeros(3)},
        {"state_dict": {0: torch.zeros(3)}},
        {"model": {"a": {"b": torch.zeros(3)}}},
        {"state_dict": {"model": {"a": 3}}},
    ],
)
def test_no_tensors_under_names(content, tmp_path):
    torch.save(content, tmp_path / "numbers.pth")
    with pytest.raises(ValueError, match=r"numbers\.pth: holds no state dict"):
        load_weights(create_backbone("v3-small"), tmp_path / "numbers.pth")


def test_keys_that_are_no_names_are_passed_over(tmp_path):
    backbone = create_backbone("v3-small")
    torch.save({3: torch.zeros(2), None: 1, **backbone.state_dict()}, tmp_path / "mixed.pth")
    assert not load_weights(create_backbone("v3-small"), tmp_path / "mixed.pth").unused


VALUES = {
    "NaN": (lambda x: x.index_fill(0, torch.tensor([0]), torch.nan), "holds infinite values or NaN"),
    "infinite": (lambda x: x.index_fill(0, torch.tensor([0]), torch.inf), "holds infinite values or NaN"),
    "bool": (lambda x: x > 0, "is strided of bool, and the network wants plain torch.float32 values"),
    "complex": (lambda x: x + 1j, "is strided of complex64"),
    "int8": (lambda x: x.to(torch.int8), "is strided of int8"),
    "sparse": (lambda x: x.to_sparse(), "is sparse_coo of float32"),
    "meta": (lambda x: x.to("meta"), "is without values"),
    "quantised": (lambda x: torch.quantize_per_tensor(x, 0.1, 0, torch.qint8), "is strided of qint8"),
}


@pytest.mark.filterwarnings("ignore")  # torch would rather not quantise
@pytest.mark.parametrize("kind", VALUES)
def test_values_that_no_network_can_have(kind, tmp_path):
    change, said = VALUES[kind]
    backbone = create_backbone("v3-small")
    before = backbone.state_dict()["stem.conv.weight"].clone()
    state = backbone.state_dict() | {"stem.conv.weight": change(backbone.state_dict()["stem.conv.weight"])}
    torch.save({f"net.{key}": value for key, value in state.items()}, tmp_path / "odd.pth")
    with pytest.raises(ValueError, match=rf"odd\.pth: net\.stem\.conv\.weight {said}") as caught:
        load_weights(backbone, tmp_path / "odd.pth")
    assert "\n" not in str(caught.value)
    assert torch.equal(backbone.stem.conv.weight, before)


def test_nested_tensors_are_passed_over(tmp_path):
    nested = torch.nested.nested_tensor([torch.zeros(2), torch.zeros(3)], layout=torch.jagged)
    backbone = create_backbone("v3-small")
    torch.save({**backbone.state_dict(), "odd": nested}, tmp_path / "nested.pth")
    try:
        report = load_weights(create_backbone("v3-small"), tmp_path / "nested.pth")
    except ValueError as error:  # as torch of another version may store them
        assert "nested.pth: not a readable weights file (" in str(error)
    else:
        assert not report.missing


def test_half_precision_is_taken(tmp_path):
    backbone = create_backbone("v3-small")
    torch.save({key: value.half() for key, value in backbone.state_dict().items()}, tmp_path / "half.pth")
    assert not load_weights(create_backbone("v3-small"), tmp_path / "half.pth").missing


@pytest.mark.parametrize(
    ("description", "said"),
    [
        (7, "it is not as"),
        ({"table": "v3"}, "its entry table is not as"),
        ({"table": {"name": 3}}, "its entry table is not as"),
        ({"names": "disc"}, "its entry names is not as"),
        ({"names": [1, 2]}, "its entry names is not as"),
        ({"task": None}, "its entry task is not as"),
        ({"mean": (0.5, 0.5), "std": (0.5, 0.5, 0.0)}, "its entry mean and std is not as"),
        ({"mean": "grey"}, "its entry mean is not as"),
        ({"mean": (0.5, 0.5, float("nan"))}, "its entry mean is not as"),
    ],
)
def test_a_description_that_is_damaged(description, said, tmp_path):
    backbone = create_backbone("v3-small")
    torch.save({"mobiledense": description, "state_dict": backbone.state_dict()}, tmp_path / "best.ckpt")
    for read in (lambda path: load_weights(backbone, path), lambda path: start_normalisation(backbone.table, path)):
        with pytest.raises(ValueError, match=rf"best\.ckpt: what it says of its network is damaged \({said}"):
            read(tmp_path / "best.ckpt")


def test_a_description_that_lacks_entries(tmp_path):
    backbone = create_backbone("v3-small")
    torch.save({"mobiledense": {"task": "detection"}, "state_dict": backbone.state_dict()}, tmp_path / "best.ckpt")
    assert not load_weights(create_backbone("v3-small"), tmp_path / "best.ckpt").missing
    assert start_normalisation(backbone.table, tmp_path / "best.ckpt") == {}


def test_a_file_is_read_once_until_it_changes(tmp_path, monkeypatch):
    path, reads = tmp_path / "w.pth", []
    monkeypatch.setattr(weights_files, "read_torch", lambda path: reads.append(path) or torch.load(path))
    torch.save({"a": torch.zeros(3)}, path)
    assert read_weights(path)[0]["a"].tolist() == read_weights(path)[0]["a"].tolist() == [0, 0, 0]
    assert len(reads) == 1
    torch.save({"a": torch.ones(40)}, path)
    assert read_weights(path)[0]["a"].sum() == 40 and len(reads) == 2
