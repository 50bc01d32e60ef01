"""Fetching data sets, from a server on this machine."""

import hashlib
import http.server
import io
import socket
import tarfile
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from torchvision.datasets import CIFAR10
from torchvision.datasets import MNIST as TorchvisionMNIST

from datasets.classification.find import find_files
from datasets.download import (
    CIFAR10_MD5,
    CIFAR10_URL,
    MNIST,
    VOC2007,
    VOC2012_MD5,
    VOC2012_URL,
    download_cifar10,
    download_mnist,
    download_voc2007,
    download_voc2012,
)
from datasets.faults import DataError
from datasets.segmentation.find import find_segmentation
from tests.datasets.classification.test_cifar import batches
from tests.datasets.classification.test_mnist import write

FILES = {
    "VOCdevkit/VOC2012/ImageSets/Segmentation/train.txt": b"a\n",
    "VOCdevkit/VOC2012/JPEGImages/a.jpg": b"image",
    "VOCdevkit/VOC2012/SegmentationClass/a.png": b"mask",
}


def archive(files):
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for name, content in files.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            tar.addfile(entry, io.BytesIO(content))
    return buffer.getvalue()


ARCHIVE = archive(FILES)
MD5 = hashlib.md5(ARCHIVE).hexdigest()


class Handler(http.server.BaseHTTPRequestHandler):
    """Serves the archive; /short.tar breaks off in the middle."""

    def do_GET(self):
        self.server.requests.append(self.path)
        if self.path not in ("/voc.tar", "/short.tar"):
            self.send_error(404)
            return
        self.send_response(200)
        self.send_header("Content-Length", str(len(ARCHIVE)))
        self.end_headers()
        self.wfile.write(ARCHIVE if self.path == "/voc.tar" else ARCHIVE[: len(ARCHIVE) // 2])

    def log_message(self, *_):
        pass


@pytest.fixture
def server(monkeypatch):
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.requests = []
        server.url = f"http://127.0.0.1:{server.server_port}"
        thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def failure(root, url, md5=MD5) -> str:
    """The one-line message of a failed download."""
    with pytest.raises(DataError) as caught:
        download_voc2012(root, url, md5)
    message = str(caught.value)
    assert "\n" not in message
    return message


@pytest.mark.parametrize("exists", [False, True], ids=["no folder", "empty folder"])
def test_the_tree_is_put_in_place(tmp_path, server, exists):
    root = tmp_path / "data" / "VOCdevkit" / "VOC2012"
    if exists:
        root.mkdir(parents=True)
    download_voc2012(root, f"{server.url}/voc.tar", MD5)
    found = {f"VOCdevkit/VOC2012/{path.relative_to(root)}": path.read_bytes() for path in root.rglob("*.*")}
    assert found == FILES
    assert list(root.parent.iterdir()) == [root]  # neither the archive nor a folder beside it stays
    assert find_segmentation("voc", "train", root).pairs == [
        (root / "JPEGImages" / "a.jpg", root / "SegmentationClass" / "a.png")
    ]


def test_processes_that_want_the_same_fetch_it_once(tmp_path, server):
    root = tmp_path / "data" / "VOC2012"
    with ThreadPoolExecutor(4) as pool:
        done = [pool.submit(download_voc2012, root, f"{server.url}/voc.tar", MD5) for _ in range(4)]
    assert [one.result() for one in done] == [None] * 4
    assert server.requests == ["/voc.tar"] * 2  # asked for its size, then fetched
    assert (root / "JPEGImages" / "a.jpg").is_file() and list(root.parent.iterdir()) == [root]


def test_an_existing_tree_is_left_alone(tmp_path, server):
    root = tmp_path / "VOC2012"
    (root / "ImageSets").mkdir(parents=True)
    (root / "mine.txt").write_text("mine")
    download_voc2012(root, f"{server.url}/voc.tar", MD5)
    assert server.requests == []
    assert sorted(path.name for path in root.iterdir()) == ["ImageSets", "mine.txt"]


def test_foreign_content_is_found_before_anything_is_fetched(tmp_path, server):
    root = tmp_path / "VOC2012"
    root.mkdir()
    (root / "mine.txt").write_text("mine")
    message = failure(root, f"{server.url}/voc.tar")
    assert str(root) in message and "--data-root" in message
    assert server.requests == [] and [path.name for path in root.iterdir()] == ["mine.txt"]


@pytest.mark.parametrize(
    ("path", "md5", "said"),
    [("voc.tar", "0" * 32, "corrupted"), ("gone.tar", MD5, "404"), ("short.tar", MD5, "corrupted")],
    ids=["wrong md5", "not found", "broken off"],
)
def test_a_failed_download_says_so_and_leaves_nothing(tmp_path, server, path, md5, said):
    root = tmp_path / "VOC2012"
    message = failure(root, f"{server.url}/{path}", md5)
    assert f"{server.url}/{path}" in message and said in message and str(root / "ImageSets") in message
    assert list(tmp_path.iterdir()) == []


def test_no_network(tmp_path, monkeypatch):
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        port = closed.getsockname()[1]
    message = failure(tmp_path / "VOC2012", f"http://127.0.0.1:{port}/voc.tar")
    assert "refused" in message and "fetch the archive elsewhere" in message
    assert list(tmp_path.iterdir()) == []


def test_an_archive_of_something_else(tmp_path, server, monkeypatch):
    other = archive({"readme.txt": b"hello"})
    monkeypatch.setitem(globals(), "ARCHIVE", other)
    message = failure(tmp_path / "VOC2012", f"{server.url}/voc.tar", hashlib.md5(other).hexdigest())
    assert "could not fetch VOC2012" in message
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk(tmp_path, server, monkeypatch):
    def full(*_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("datasets.download.download_and_extract_archive", full)
    assert "No space left" in failure(tmp_path / "VOC2012", f"{server.url}/voc.tar")
    assert list(tmp_path.iterdir()) == []


# VOC2007 comes in two archives


def two_archives(monkeypatch, server, second="test.tar"):
    """Serve trainval.tar and test.tar, and return what `download_voc2007` is to fetch."""
    parts = {
        "trainval.tar": {"ImageSets/Main/trainval.txt": b"a\n", "Annotations/a.xml": b"<annotation/>"},
        "test.tar": {"ImageSets/Main/test.txt": b"b\n", "Annotations/b.xml": b"<annotation/>"},
    }
    content = {
        f"/{name}": archive({f"VOCdevkit/VOC2007/{path}": text for path, text in files.items()})
        for name, files in parts.items()
    }

    def do_GET(self):
        if self.path not in content:
            self.send_error(404)
            return
        self.send_response(200)
        self.send_header("Content-Length", str(len(content[self.path])))
        self.end_headers()
        self.wfile.write(content[self.path])

    monkeypatch.setattr(Handler, "do_GET", do_GET)
    wanted = ["trainval.tar", second]
    return [(f"{server.url}/{name}", hashlib.md5(content.get(f"/{name}", b"")).hexdigest()) for name in wanted]


def test_both_archives_make_one_tree(tmp_path, server, monkeypatch):
    root = tmp_path / "VOCdevkit" / "VOC2007"
    download_voc2007(root, two_archives(monkeypatch, server))
    found = sorted(str(path.relative_to(root)) for path in root.rglob("*.*"))
    assert found == ["Annotations/a.xml", "Annotations/b.xml", "ImageSets/Main/test.txt", "ImageSets/Main/trainval.txt"]
    assert list(root.parent.iterdir()) == [root]


def test_nothing_stays_if_the_second_archive_fails(tmp_path, server, monkeypatch):
    root = tmp_path / "VOC2007"
    with pytest.raises(DataError, match=r"could not fetch VOC2007 from .*/gone\.tar \(.*404") as caught:
        download_voc2007(root, two_archives(monkeypatch, server, "gone.tar"))
    assert str(root / "ImageSets") in str(caught.value) and "\n" not in str(caught.value)
    assert list(tmp_path.iterdir()) == []


def test_foreign_content_is_not_taken_for_voc2007(tmp_path):
    (tmp_path / "mine.txt").write_text("mine")
    with pytest.raises(DataError, match="holds something else than VOC2007"):
        download_voc2007(tmp_path)


# CIFAR-10 in one archive, MNIST in four files that stay as they are


def test_cifar10_is_put_in_place(tmp_path, server, monkeypatch):
    files = batches()
    monkeypatch.setitem(globals(), "ARCHIVE", archive(files))
    root = tmp_path / "data" / "cifar10"
    for _ in range(2):
        download_cifar10(root, f"{server.url}/voc.tar", hashlib.md5(ARCHIVE).hexdigest())
    assert server.requests == ["/voc.tar"] * 2  # asked for its size, then fetched, and not again
    assert {f"cifar-10-batches-py/{path.name}": path.read_bytes() for path in root.iterdir()} == files
    assert list(root.parent.iterdir()) == [root]
    assert len(find_files("cifar10", ["test"], root)[0].image_paths) == 10


def test_mnist_is_put_in_place(tmp_path, server, monkeypatch):
    made = {path.name: path.read_bytes() for path in write(tmp_path / "made").iterdir()}

    def do_GET(self):
        self.send_response(200)
        self.send_header("Content-Length", str(len(made[self.path[1:]])))
        self.end_headers()
        self.wfile.write(made[self.path[1:]])

    monkeypatch.setattr(Handler, "do_GET", do_GET)
    root = tmp_path / "data" / "mnist"
    files = [(f"{server.url}/{name}", hashlib.md5(content).hexdigest()) for name, content in made.items()]
    download_mnist(root, files)
    assert {path.name: path.read_bytes() for path in root.iterdir()} == made
    assert list(root.parent.iterdir()) == [root]
    broken = [*files[:3], (files[3][0], "0" * 32)]
    with pytest.raises(DataError, match=r"could not fetch MNIST from .* so that .*train-images-idx3-ubyte.gz exists"):
        download_mnist(tmp_path / "data" / "again", broken)
    assert list(root.parent.iterdir()) == [root]


def test_published_archives():
    assert (CIFAR10.url, CIFAR10.tgz_md5) == (CIFAR10_URL, CIFAR10_MD5)
    assert [(url.rpartition("/")[2], md5) for url, md5 in MNIST] == TorchvisionMNIST.resources
    assert all(url.startswith(TorchvisionMNIST.mirrors[0]) for url, _ in MNIST)
    urls = [VOC2012_URL, *(url for url, _ in VOC2007)]
    assert [url.removeprefix("http://host.robots.ox.ac.uk/pascal/VOC/") for url in urls] == [
        "voc2012/VOCtrainval_11-May-2012.tar",
        "voc2007/VOCtrainval_06-Nov-2007.tar",
        "voc2007/VOCtest_06-Nov-2007.tar",
    ]
    assert [VOC2012_MD5, *(md5 for _, md5 in VOC2007)] == [
        "6cd6e144f989b92b3379bac3b3de84fd",
        "c52e279531787c972589f7e41ab4ae64",
        "b6e924de25625d8de591ea690078ad9f",
    ]


def test_a_server_that_never_answers_is_told_soon(tmp_path, monkeypatch):
    monkeypatch.setattr("datasets.download.WAIT", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}/cifar.tar.gz"
        with pytest.raises(DataError, match=r"could not fetch CIFAR-10 from .* \(.*timed out\); fetch the archive"):
            download_cifar10(tmp_path / "cifar", url)
    assert socket.getdefaulttimeout() is None and list(tmp_path.iterdir()) == []
