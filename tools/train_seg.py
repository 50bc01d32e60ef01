"""Train a segmentation network.

python tools/train_seg.py                                                    # on the embedded Shapes set
python tools/train_seg.py --backbone v3-large --dataset voc --download true --weights imagenet
python tools/train_seg.py --dataset folder --data-root my_images --epochs 100
"""

import sys
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

sys.path[0] = str(Path(__file__).resolve().parents[1])

from backbones import BackboneOptions, load_weights, start_normalisation
from datasets import (
    BATCH,
    COUNT,
    Augmentation,
    SegmentationDataset,
    SegmentationFiles,
    SegmentationSummary,
    check_options,
    check_segmentation,
    check_splits,
    find_segmentation,
    limit,
)
from tasks import Optimization, SegmentationTask, TaskError, segmentation_spec, segmentation_table
from tasks.drawing import draw_masks
from tasks.readiness import require_folder, require_step
from tasks.run import Run
from tools.cli import command


def train_seg(
    config_text: str,
    backbone_options: BackboneOptions,
    optimization: Optimization,
    augmentation: Augmentation,
    run: Run,
    backbone: str = "v3-small",
    head: str = "lraspp",
    dataset: str = "shapes",
    data_root: Path | None = None,
    download: bool = False,
    train_split: str = "train",
    val_split: str = "val",
    weights: str | None = None,
    head_options: dict[str, Any] | None = None,
    auxiliary: float = 0.0,
    epochs: int = 40,
    batch_size: int = 16,
    crop: tuple[int, int] | None = None,
    loss: str = "cross_entropy",
    class_weights: Literal["none", "balanced"] | list[float] = "none",
    label_smoothing: float = 0.0,
    check_data: bool = True,
    max_images: int | None = None,
) -> Path:
    """Train a segmentation network and keep its best and last checkpoint.

    Args:
        config_text: the options as YAML, written into the run's folder.
        backbone_options: what the backbone is built with.
        optimization: how weights move.
        augmentation: what training does to images.
        run: how the run is carried out.
        backbone: v1, v2, mnasnet-a1, mnasnet-b1, v3-large, v3-small, timm:NAME for a network of timm's, such as
            timm:mobilenetv4_conv_small, or hf://OWNER/NAME for one on the Hugging Face hub.
        head: lraspp, raspp, lraspp-torchvision, or a decoder of segmentation-models-pytorch: unet, unetplusplus, manet,
            linknet, fpn, pspnet, pan, deeplabv3, deeplabv3plus, upernet, segformer.
        dataset: shapes (made on first use), voc (VOC2012, or any tree in its layout with a labels.txt) or folder
            (images/ beside masks/, with a labels.txt).
        data_root: where the data is; by default data/shapes or data/VOCdevkit/VOC2012.
        download: fetch VOC2012 (1.9 GB) if it is not there.
        train_split: the split to train on.
        val_split: the split that chooses the best checkpoint.
        weights: imagenet, hf://OWNER/NAME, or a weights file to start the backbone from.
        head_options: options of the head, such as --head-options.filters 256.
        auxiliary: weight of an auxiliary loss on the stride-16 features, 0 for none.
        epochs: passes over the training split.
        batch_size: images a step, over all processes.
        crop: height and width that the network is trained on; by default 512 512, and 160 160 for shapes.
        loss: cross_entropy, ohem, dice, focal, lovasz, or several joined by +.
        class_weights: none, balanced (by the share of labelled pixels), or one number a class.
        label_smoothing: of cross_entropy and ohem.
        check_data: read all files before the first step and tell of all faults at once.
        max_images: use only the first so many images of each split.
    """
    check_options(epochs=(epochs, *COUNT), batch_size=(batch_size, *BATCH))
    require_folder(run.output)
    crop = crop or ((160, 160) if dataset == "shapes" else (512, 512))
    augmentation = replace(augmentation, crop=crop)
    segmentation_table(backbone, head, **backbone_options.given())  # a mistake ends the command before any download
    train_files, val_files = (
        limit(find_segmentation(dataset, split, data_root, download), max_images) for split in (train_split, val_split)
    )
    summary = None
    if check_data:
        summary, _ = check_splits(train_files, val_files)
    elif class_weights == "balanced":
        summary = check_segmentation(train_files)
    names, colours = train_files.names, train_files.colours
    spec = segmentation_spec(
        backbone, backbone_options, head, names, colours, crop, head_options, auxiliary=auxiliary > 0
    )
    spec = replace(spec, **start_normalisation(spec.table, weights))
    balance = _class_weights(class_weights, train_files, summary)
    run.seed_everything()
    task = SegmentationTask(spec, optimization, loss, balance, label_smoothing, auxiliary)
    require_step(task.network, batch_size, crop)
    if weights is not None:
        print(load_weights(task.network.backbone, weights))
    train, val = SegmentationDataset(train_files, augmentation), SegmentationDataset(val_files)
    task.check_sizes(val)
    name = f"{dataset}_{backbone}_{head}"
    return run.fit(task, train, val, "val/miou", name, config_text, epochs, batch_size, draw_masks)


def _class_weights(
    wanted: str | list[float], files: SegmentationFiles, summary: SegmentationSummary | None
) -> list[float] | None:
    if isinstance(wanted, list):
        if len(wanted) != len(files.names):
            raise TaskError(f"--class-weights has {len(wanted)} numbers for {len(files.names)} classes")
        return wanted
    return summary.balanced_weights() if wanted == "balanced" and summary is not None else None


if __name__ == "__main__":
    command(train_seg)
