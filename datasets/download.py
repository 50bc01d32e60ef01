"""Fetching VOC from its home, checked against published MD5s, and moved into place only when it is whole."""

import os
import tarfile
import tempfile
from collections.abc import Sequence
from http.client import HTTPException
from pathlib import Path

from torchvision.datasets.utils import download_and_extract_archive

from datasets.files import DataError

HOME = "http://host.robots.ox.ac.uk/pascal/VOC"
VOC2012_URL = f"{HOME}/voc2012/VOCtrainval_11-May-2012.tar"
VOC2012_MD5 = "6cd6e144f989b92b3379bac3b3de84fd"
VOC2007 = (
    (f"{HOME}/voc2007/VOCtrainval_06-Nov-2007.tar", "c52e279531787c972589f7e41ab4ae64"),
    (f"{HOME}/voc2007/VOCtest_06-Nov-2007.tar", "b6e924de25625d8de591ea690078ad9f"),
)


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
    _download(root, "VOC2012", [(url, md5)])


def download_voc2007(root: Path, archives: Sequence[tuple[str, str]] = VOC2007) -> None:
    """Put VOC2007, trainval and test (0.9 GB), at `root`; nothing happens if a VOC tree is there already.

    Args:
        root: becomes the folder with JPEGImages, Annotations and ImageSets.
        archives: URL and MD5 of archives that hold VOCdevkit/VOC2007.

    Raises:
        DataError: as `download_voc2012` does.
    """
    _download(root, "VOC2007", archives)


def _download(root: Path, name: str, archives: Sequence[tuple[str, str]]) -> None:
    if (root / "ImageSets").is_dir():
        return
    if root.exists() and not (root.is_dir() and not any(root.iterdir())):
        raise DataError(f"{root}: holds something else than {name}; remove it or name another --data-root")
    root.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=root.parent, prefix=".download-") as folder:
        try:
            for url, md5 in archives:
                download_and_extract_archive(url, folder, md5=md5)
            os.replace(Path(folder) / "VOCdevkit" / name, root)
        except (OSError, RuntimeError, HTTPException, tarfile.TarError) as error:
            raise DataError(
                f"could not fetch {name} from {url} ({error}); "
                f"fetch the archive elsewhere and unpack it so that {root / 'ImageSets'} exists"
            ) from None
