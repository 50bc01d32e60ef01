"""Look at every file of a dataset, and write a page with what is wrong, drawn, and counts and plots of what is there.

python tools/check_data.py --dataset folder --data-root my_images
python tools/check_data.py --dataset voc --data-root DIR --task detection --size 320 320
python tools/check_data.py --dataset coco --data-root DIR --splits train val --drawn 30 --output report

The exit status is 1 if there are errors, and 0 if there are warnings alone.
"""

import sys
from pathlib import Path
from typing import Any, Literal

sys.path[0] = str(Path(__file__).resolve().parents[1])

from tools.cli import command


def check_data(
    dataset: str = "shapes",
    task: Literal["segmentation", "detection", "classification"] | None = None,
    data_root: Path | None = None,
    splits: list[str] | None = None,
    size: tuple[int, int] | None = None,
    head: str = "ssdlite",
    head_options: dict[str, Any] | None = None,
    workers: int | None = None,
    drawn: int = 12,
    output: Path = Path("data_check"),
    group_by: str | None = None,
    classes: Literal["voc"] | None = None,
) -> Path:
    """Check a dataset.

    Args:
        dataset: any that train_seg, train_det or train_cls reads.
        task: what the data is for; by default what it can be used for, going by its folders.
        data_root: where the data is.
        splits: which splits to look at; by default those of train, val and test that there are.
        size: detection: height and width of the network's input, by default 320 320, and 160 160 for shapes.
        head: detection: whose anchors are compared with the boxes, ssdlite or ssdlite-torchvision.
        head_options: detection: its options, such as --head-options.small_objects true.
        workers: how many images are read at a time, by default one a core.
        drawn: how many offenders of each kind to draw.
        output: folder for the page, index.html.
        group_by: as in training: which images without splits of their own are val.
        classes: segmentation with coco: voc, as in training.
    """
    from tasks.data_check.check import check_dataset

    check_dataset(dataset, task, data_root, splits, size, head, head_options, workers, drawn, output, group_by, classes)
    return output


if __name__ == "__main__":
    command(check_data)
