"""Fetching VOC, CIFAR-10 and MNIST, checked against published MD5s, and moved into place only when it is whole.

Of several processes that want the same, as under torchrun, one fetches it and the others wait and find it there.
"""

import contextlib
import os
import socket
import tarfile
import tempfile
from collections.abc import Sequence
from http.client import HTTPException
from pathlib import Path

from filelock import FileLock
from torchvision.datasets.utils import download_and_extract_archive, download_url

from datasets.faults import DataError

WAIT = 15.0  # seconds without any answer, or in the middle, after which there is no network
HOME = "http://host.robots.ox.ac.uk/pascal/VOC"
VOC2012_URL = f"{HOME}/voc2012/VOCtrainval_11-May-2012.tar"
VOC2012_MD5 = "6cd6e144f989b92b3379bac3b3de84fd"
VOC2007 = (
    (f"{HOME}/voc2007/VOCtrainval_06-Nov-2007.tar", "c52e279531787c972589f7e41ab4ae64"),
    (f"{HOME}/voc2007/VOCtest_06-Nov-2007.tar", "b6e924de25625d8de591ea690078ad9f"),
)

CIFAR10_URL = "https://www.cs.toronto.edu/~kriz/cifar-10-python.tar.gz"
CIFAR10_MD5 = "c58f30108f718f92721af3b95e74349a"
MNIST_FILES = (
    ("train-images-idx3-ubyte.gz", "f68b3c2dcbeaaa9fbdd348bbdeb94873"),
    ("train-labels-idx1-ubyte.gz", "d53e105ee54ea40749a09fcbcd1e9432"),
    ("t10k-images-idx3-ubyte.gz", "9fb629c4189551a2d022fa330f9573f3"),
    ("t10k-labels-idx1-ubyte.gz", "ec29112dd5afa0611ce80d1b7f02629c"),
)
MNIST = tuple((f"https://ossci-datasets.s3.amazonaws.com/mnist/{name}", md5) for name, md5 in MNIST_FILES)


def download_voc2012(root: Path, url: str = VOC2012_URL, md5: str = VOC2012_MD5) -> None:
    """Put VOC2012 (1.9 GB) at `root`; nothing happens if a VOC tree is there already.

    Args:
        root: becomes the folder with JPEGImages, SegmentationClass and ImageSets.
        url: of the archive, which holds VOCdevkit/VOC2012.
        md5: of the archive.

    Raises:
        DataError: if `root` holds something else, or the archive cannot be fetched, is not what was published, or does
            not fit on the disk.
    """
    _download(root, "VOC2012", [(url, md5)], "VOCdevkit/VOC2012", "ImageSets")


def download_voc2007(root: Path, archives: Sequence[tuple[str, str]] = VOC2007) -> None:
    """Put VOC2007, trainval and test (0.9 GB), at `root`; nothing happens if a VOC tree is there already.

    Args:
        root: becomes the folder with JPEGImages, Annotations and ImageSets.
        archives: URL and MD5 of archives that hold VOCdevkit/VOC2007.

    Raises:
        DataError: as `download_voc2012` does.
    """
    _download(root, "VOC2007", archives, "VOCdevkit/VOC2007", "ImageSets")


def download_cifar10(root: Path, url: str = CIFAR10_URL, md5: str = CIFAR10_MD5) -> None:
    """Put the original batches of CIFAR-10 (170 MB) at `root`; nothing happens if they are there already.

    Args:
        root: becomes the folder with data_batch_1 to data_batch_5 and test_batch.
        url: of the archive, which holds cifar-10-batches-py.
        md5: of the archive.

    Raises:
        DataError: as `download_voc2012` does.
    """
    _download(root, "CIFAR-10", [(url, md5)], "cifar-10-batches-py", "data_batch_1")


def download_mnist(root: Path, files: Sequence[tuple[str, str]] = MNIST) -> None:
    """Put the four IDX files of MNIST (12 MB) at `root`; nothing happens if they are there already.

    Args:
        root: becomes the folder of the files, which stay gzipped.
        files: URL and MD5 of each.

    Raises:
        DataError: as `download_voc2012` does.
    """
    _download(root, "MNIST", files, "mnist", MNIST_FILES[0][0], unpack=False)


def _download(
    root: Path, name: str, files: Sequence[tuple[str, str]], inside: str, sign: str, unpack: bool = True
) -> None:
    """Fetch all files, unpack them, and move their folder `inside` to `root`, which has `sign` in it from then on."""
    if (root / sign).exists():
        return
    root.parent.mkdir(parents=True, exist_ok=True)
    lock = root.parent / f".{root.name}.lock"
    with FileLock(lock):
        try:
            _fetch(root, name, files, inside, sign, unpack)
        finally:
            with contextlib.suppress(OSError):  # Windows removes no open file
                lock.unlink()


def _fetch(root: Path, name: str, files: Sequence[tuple[str, str]], inside: str, sign: str, unpack: bool) -> None:
    """`_download`, by the one process that holds the lock."""
    if (root / sign).exists():
        return
    if root.exists() and not (root.is_dir() and not any(root.iterdir())):
        raise DataError(f"{root}: holds something else than {name}; remove it or name another --data-root")
    with tempfile.TemporaryDirectory(dir=root.parent, prefix=".download-") as folder:
        before = socket.getdefaulttimeout()
        socket.setdefaulttimeout(WAIT)  # torchvision gives none, and would wait for ever
        try:
            for url, md5 in files:
                if unpack:
                    download_and_extract_archive(url, folder, md5=md5)
                else:
                    download_url(url, Path(folder) / inside, md5=md5)
            os.replace(Path(folder) / inside, root)
        except (OSError, RuntimeError, HTTPException, tarfile.TarError) as error:
            how = "fetch the archive elsewhere and unpack it" if unpack else "fetch the files elsewhere and put them"
            raise DataError(
                f"could not fetch {name} from {url} ({error}); {how} so that {root / sign} exists"
            ) from None
        finally:
            socket.setdefaulttimeout(before)
