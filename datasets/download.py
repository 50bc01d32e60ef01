"""Fetching VOC2012 from its home, checked against the published MD5, and moved into place only when it is whole."""

import os
import tarfile
import tempfile
from http.client import HTTPException
from pathlib import Path

from torchvision.datasets.utils import download_and_extract_archive

from datasets.files import DataError

VOC2012_URL = "http://host.robots.ox.ac.uk/pascal/VOC/voc2012/VOCtrainval_11-May-2012.tar"
VOC2012_MD5 = "6cd6e144f989b92b3379bac3b3de84fd"


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
    if (root / "ImageSets").is_dir():
        return
    if root.exists() and not (root.is_dir() and not any(root.iterdir())):
        raise DataError(f"{root}: holds something else than VOC2012; remove it or name another --data-root")
    root.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=root.parent, prefix=".download-") as folder:
        try:
            download_and_extract_archive(url, folder, md5=md5)
            os.replace(Path(folder) / "VOCdevkit" / "VOC2012", root)
        except (OSError, RuntimeError, HTTPException, tarfile.TarError) as error:
            raise DataError(
                f"could not fetch VOC2012 from {url} ({error}); "
                f"fetch the archive elsewhere and unpack it so that {root / 'ImageSets'} exists"
            ) from None
