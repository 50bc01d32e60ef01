"""Checkpoints whose networks run in another runtime than torch: the same results, and a cache that is to be trusted."""

import math
import os
import re
import time

import numpy as np
import pytest
import torch

from deploy import DeployError, acceleration, load, network_cache
from deploy.any_size import MatrixPool
from heads.lraspp import WindowPool
from tasks.wings import load_task


@pytest.fixture(scope="module", autouse=True)
def cache(tmp_path_factory):
    """An empty cache of these tests' own, in which networks stay converted from one test to the next."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        yield network_cache.cache_folder()


@pytest.fixture(scope="module")
def converted(checkpoint, cache):
    """The key under which the cache has the checkpoint's network."""
    pytest.importorskip("onnxruntime")
    load(checkpoint, "cpu", runtime="onnx")
    return acceleration._key(load_task(checkpoint, "cpu").fold())


@pytest.fixture
def images():
    rng = np.random.default_rng(0)
    return [rng.integers(0, 256, (*size, 3), dtype=np.uint8) for size in ((64, 64), (131, 90), (50, 240), (33, 35))]


@pytest.fixture
def no_conversion(monkeypatch):
    def fail(task):
        raise AssertionError("a network is converted")

    monkeypatch.setattr(acceleration, "export_network", fail)


@pytest.mark.parametrize("runtime, module", [("onnx", "onnxruntime"), ("openvino", "openvino")])
def test_masks_are_torchs_at_any_size(runtime, module, checkpoint, images):
    pytest.importorskip(module)
    fast, plain = load(checkpoint, "cpu", runtime=runtime), load_task(checkpoint, "cpu")
    for options in ({}, {"tta_scales": [0.5, 1.5], "tta_flip": True}, {"window": (48, 64)}):
        found, expected = fast.predict(images, **options), plain.predict(images, **options)
        same = [one == other for one, other in zip(found, expected, strict=True)]
        assert np.concatenate([one.ravel() for one in same]).mean() > 0.9999


@pytest.mark.slow
def test_boxes_and_probabilities_are_torchs(detector, classifier, images):
    pytest.importorskip("onnxruntime")
    fast, plain = (task.predict(images) for task in (load(detector, "cpu", runtime="onnx"), load_task(detector, "cpu")))
    for found, expected in zip(fast, plain, strict=True):
        assert len(found.scores) == len(expected.scores)
        np.testing.assert_allclose(found.scores, expected.scores, atol=1e-4)
        sure = expected.scores > expected.scores[9] + 1e-4  # ties may come in any order
        np.testing.assert_allclose(found.boxes[: sure.sum()], expected.boxes[sure], atol=0.1)
    found, expected = load(classifier, "cpu", runtime="onnx").predict(images), load_task(classifier).predict(images)
    np.testing.assert_allclose(found, expected, atol=1e-4)


def test_a_network_is_converted_once(checkpoint, images, converted, no_conversion):
    load(checkpoint, "cpu", runtime="onnx").predict(images[:1])
    with pytest.raises(AssertionError, match="is converted"):
        load(checkpoint, "cpu", runtime="onnx", output_stride=8)


def test_a_network_is_known_by_its_weights_where_its_checkpoint_was_replaced(checkpoint):
    task, other = (load_task(checkpoint, "cpu").fold() for _ in range(2))
    assert acceleration._key(task) == acceleration._key(other)
    next(other.network.parameters()).data[0] += 1
    assert acceleration._key(task) != acceleration._key(other)  # of one checkpoint's path


def test_a_damaged_entry_is_written_anew(checkpoint, images, monkeypatch, cache, converted):
    whole, content = network_cache.read_entry(converted), bytearray((cache / converted).read_bytes())
    content[len(content) // 2] ^= 1
    made = []
    monkeypatch.setattr(acceleration, "export_network", lambda task: made.append(task) or whole)
    for damaged in (content, content[:-5], b""):
        (cache / converted).write_bytes(damaged)
        load(checkpoint, "cpu", runtime="onnx").predict(images[:1])
        assert network_cache.read_entry(converted) == whole
    assert len(made) == 3


def test_a_cache_that_cannot_be_written_is_done_without(monkeypatch, tmp_path):
    (tmp_path / "file").touch()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    network_cache.write_entry("key", b"content")
    assert network_cache.read_entry("key") is None


def test_old_entries_go(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    network_cache.cache_folder().mkdir(parents=True)
    for name, age in ((".part1", network_cache.ABANDONED + 9), (".part2", 0)):
        path = network_cache.cache_folder() / name
        path.write_bytes(b"half")
        os.utime(path, (time.time() - age,) * 2)
    for number in range(network_cache.KEPT + 3):
        network_cache.write_entry(str(number), b"content")
    assert len([*network_cache.cache_folder().glob("[!.]*")]) == network_cache.KEPT
    assert [path.name for path in network_cache.cache_folder().glob(".*")] == [".part2"]  # another process's


def test_what_does_not_convert_runs_in_torch_and_says_so(checkpoint, images, monkeypatch, capsys):
    pytest.importorskip("onnxruntime")

    def fail(task):
        raise DeployError("it does not convert to ONNX (no such operator)")

    monkeypatch.setattr(acceleration, "export_network", fail)
    monkeypatch.setattr(acceleration, "read_entry", lambda key: None)
    task = load(checkpoint, "cpu", images=math.inf)
    said = capsys.readouterr().out.splitlines()
    assert re.fullmatch(r"the network runs in torch, since \w.* cannot: it does not .*no such operator\)", said[-1])
    assert (task.predict(images[:1])[0] == load_task(checkpoint).predict(images[:1])[0]).all()
    with pytest.raises(DeployError, match="no such operator"):
        load(checkpoint, "cpu", runtime="onnx")


def test_another_result_is_not_taken(checkpoint, monkeypatch, converted):
    forward = acceleration.RuntimeNetwork.forward
    monkeypatch.setattr(acceleration.RuntimeNetwork, "forward", lambda self, images: forward(self, images) + 1)
    content = network_cache.read_entry(converted)
    monkeypatch.setattr(acceleration, "read_entry", lambda key: None)
    monkeypatch.setattr(acceleration, "export_network", lambda task: content)
    with pytest.raises(DeployError, match="outputs are others than torch's on images of 64x64"):
        load(checkpoint, "cpu", runtime="onnx")


def test_few_images_run_in_torch(checkpoint, no_conversion, monkeypatch, capsys):
    load(checkpoint, "cpu", images=1)
    load(checkpoint, "cpu")
    said = capsys.readouterr().out.splitlines()
    assert len(said) == 1 and said[0].startswith("the network runs in torch")
    monkeypatch.setattr(acceleration.importlib.util, "find_spec", lambda module: None)  # as without any extra
    load(checkpoint, "cpu", images=math.inf)
    assert capsys.readouterr().out == "the network runs in torch\n"


def test_a_runtime_that_runs_no_checkpoint_is_told(checkpoint):
    with pytest.raises(DeployError, match=r"--runtime executorch: .*best\.ckpt is for torch; tools/export\.py"):
        load(checkpoint, "cpu", runtime="executorch")


@pytest.mark.parametrize("size", [(3, 5), (6, 7), (23, 30), (40, 8)])
def test_pooling_by_matrices_is_pooling(size):
    pool, x = WindowPool(7, (4, 5)), torch.rand(2, 3, *size)
    torch.testing.assert_close(MatrixPool(pool)(x), pool(x))
