"""Train a detection network (SSDLite), and evaluate it.

python tools/train_det.py                                                    # on the embedded Shapes set
python tools/train_det.py --backbone v3-large --dataset coco --data-root DIR --weights coco --head ssdlite-torchvision
python tools/train_det.py --dataset voc --data-root DIR --epochs 200
"""

import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

sys.path[0] = str(Path(__file__).resolve().parents[1])

from lightning.pytorch.utilities import rank_zero_only

from backbones import BackboneOptions
from datasets import (
    BATCH,
    COUNT,
    DetectionAugmentation,
    DetectionDataset,
    Resize,
    check_detection_splits,
    check_options,
    find_detection,
    limit_detection,
    tell_difference,
)
from heads import DetectionLoss
from tasks import DetectionTask, Optimization, TaskError, detection_spec
from tasks.detection.evaluation import detection_colours, draw_detections, judge
from tasks.detection.weights import load_detection_weights, start_detection_normalisation
from tasks.readiness import require_folder, require_step
from tasks.run import Run
from tools.cli import command

FEW = 2000  # images, below which training from scratch is worth a word


def train_det(
    config_text: str,
    backbone_options: BackboneOptions,
    optimization: Optimization,
    augmentation: DetectionAugmentation,
    run: Run,
    backbone: str = "v3-small",
    head: str = "ssdlite",
    dataset: str = "shapes",
    data_root: Path | None = None,
    download: bool = False,
    train_split: str = "train",
    val_split: str = "val",
    weights: str | None = None,
    head_options: dict[str, Any] | None = None,
    epochs: int | None = None,
    batch_size: int = 16,
    size: tuple[int, int] | None = None,
    loss: str = "cross_entropy",
    box_weight: float = 1.0,
    check_data: bool = True,
    max_images: int | None = None,
) -> Path:
    """Train a detection network, keep its best and last checkpoint, and print what the best one reaches.

    Args:
        config_text: the options as YAML, written into the run's folder.
        backbone_options: what the backbone is built with.
        optimization: how weights move.
        augmentation: what training does to images.
        run: how the run is carried out.
        backbone: v1, v2, mnasnet-a1, mnasnet-b1, v3-large, v3-small, timm:NAME for a network of timm's, such as
            timm:mobilenetv4_conv_small, or hf://OWNER/NAME for one on the Hugging Face hub.
        head: ssdlite (the papers': 3 anchors in the first map), or ssdlite-torchvision (6).
        dataset: shapes (made on first use), voc (VOC2007 and 2012, or any tree in their layout with a labels.txt) or
            coco (annotations/instances_SPLIT.json).
        data_root: where the data is; by default data/shapes or data/VOCdevkit.
        download: fetch VOC2007 and VOC2012 (2.8 GB) if they are not there.
        train_split: the split to train on.
        val_split: the split that chooses the best checkpoint.
        weights: imagenet or hf://OWNER/NAME (the backbone), coco (torchvision's SSDLite320 on v3-large), or a file: a
            detection checkpoint, whose classes of the same name are kept, or weights of the backbone.
        head_options: options of the head: --head-options.small_objects true adds a map at stride 8 (as by default for
            shapes), --head-options.least_scale 0.1 sets the smallest anchors.
        epochs: passes over the training split; by default 60, and 12 for shapes.
        batch_size: images a step, over all processes.
        size: height and width that images are resized to; by default 320 320, and 160 160 for shapes.
        loss: cross_entropy with three hard negatives a positive, or focal.
        box_weight: of the box loss beside the class loss.
        check_data: read all files before the first step and tell of all faults at once.
        max_images: use only the first so many images of each split.
    """
    check_options(epochs=(epochs, *COUNT), batch_size=(batch_size, *BATCH))
    require_folder(run.output)
    DetectionLoss(loss)  # an unknown name ends the command here
    small = dataset == "shapes"
    size, epochs = size or ((160, 160) if small else (320, 320)), epochs or (12 if small else 60)
    if small and head == "ssdlite":
        head_options = {"small_objects": True} | (head_options or {})
    augmentation = replace(augmentation, size=size)
    train_files, val_files = (
        limit_detection(find_detection(dataset, split, data_root, download), max_images)
        for split in (train_split, val_split)
    )
    if check_data:
        for summary in check_detection_splits(train_files, val_files):
            print("\n".join(summary.lines()))
    if train_files.names != val_files.names:
        difference = tell_difference(train_files.names, val_files.names, train_split, val_split)
        raise TaskError(f"classes of {train_split} and {val_split} differ: {difference}")
    names, colours = train_files.names, detection_colours(len(train_files.names))
    spec = detection_spec(backbone, backbone_options, head, names, colours, size, head_options, sigmoid=loss == "focal")
    spec = replace(spec, **start_detection_normalisation(spec.table, weights))
    run.seed_everything()
    task = DetectionTask(spec, optimization, box_weight)
    require_step(task.network, batch_size, size)
    if weights is not None:
        print(load_detection_weights(task.network, spec, weights))
    elif dataset != "shapes" and len(train_files.image_paths) < FEW:
        print(
            f"{len(train_files.image_paths)} images are few to learn from scratch: expect rough boxes, and hundreds of "
            f"epochs. --weights imagenet starts the backbone from images of all kinds, --weights coco (v3-large with "
            f"ssdlite-torchvision) the whole network; either is worth more than any other option"
        )
    train, val = DetectionDataset(train_files, augmentation), DetectionDataset(val_files, Resize(size))
    name = f"{dataset}_{backbone}_{head}"
    folder = run.fit(task, train, val, "val/ap", name, config_text, epochs, batch_size, draw_detections)
    if (folder / "best.ckpt").is_file():
        rank_zero_only(judge)(folder / "best.ckpt", val_files, folder / f"eval_{val_split}")
    return folder


if __name__ == "__main__":
    command(train_det)
