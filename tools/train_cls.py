"""Train a classifier, and evaluate it.

python tools/train_cls.py                                          # the objects of the embedded Shapes set
python tools/train_cls.py --dataset cifar10 --backbone v3-large --download
python tools/train_cls.py --dataset mnist --download
python tools/train_cls.py --dataset folder --data-root DIR --backbone v3-large --weights imagenet
python tools/train_cls.py --dataset cifar10 --teacher runs/cifar10_v3-large/best.ckpt
"""

import sys
from dataclasses import replace
from pathlib import Path

sys.path[0] = str(Path(__file__).resolve().parents[1])

from lightning.pytorch.utilities import rank_zero_only

from backbones import BackboneOptions, load_weights, start_normalisation
from datasets import (
    BATCH,
    COUNT,
    SIDE,
    ClassificationAugmentation,
    check_classification,
    check_options,
    default_colours,
    evaluation_samples,
    find_classification,
    limit_classification,
    training_samples,
)
from tasks import ClassificationTask, Distillation, Optimization, TaskError, classification_spec
from tasks.classification.drawing import draw_labels
from tasks.classification.evaluation import judge_classifier
from tasks.readiness import require_folder, require_step
from tasks.run import Run
from tools.cli import command


def train_cls(
    config_text: str,
    backbone_options: BackboneOptions,
    optimization: Optimization,
    augmentation: ClassificationAugmentation,
    distillation: Distillation,
    run: Run,
    backbone: str = "v3-small",
    dataset: str = "shapes",
    data_root: Path | None = None,
    download: bool = False,
    train_split: str = "train",
    val_split: str = "val",
    weights: str | None = None,
    dropout: float = 0.2,
    epochs: int = 10,
    batch_size: int = 64,
    size: tuple[int, int] | None = None,
    label_smoothing: float = 0.0,
    check_data: bool = True,
    max_images: int | None = None,
) -> Path:
    """Train a classifier, keep its best and last checkpoint, and print what the best one reaches.

    Args:
        config_text: the options as YAML, written into the run's folder.
        backbone_options: what the backbone is built with.
        optimization: how weights move.
        augmentation: what training does to images.
        distillation: what is learned from a teacher.
        run: how the run is carried out.
        backbone: v1, v2, mnasnet-a1, mnasnet-b1, v3-large, v3-small, timm:NAME for a network of timm's, such as
            timm:mobilenetv4_conv_small, or hf://OWNER/NAME for one on the Hugging Face hub.
        dataset: shapes (the objects of the Shapes set, made on first use), cifar10 (class folders, the original
            batches, or an archive of either), mnist (IDX files) or folder (ImageNet's layout: train/<class>/ and
            val/<class>/).
        data_root: where the data is; by default data/ and the dataset's name.
        download: fetch CIFAR-10 (170 MB) or MNIST (12 MB) if it is not there.
        train_split: the split to train on. For cifar10 and mnist, trainval is all training images, val every tenth of
            them, and train the others.
        val_split: the split that chooses the best checkpoint.
        weights: imagenet, hf://OWNER/NAME, or a weights file to start the backbone from.
        dropout: before the last layer.
        epochs: passes over the training split.
        batch_size: images a step, over all processes.
        size: height and width that images of a folder are cropped to, by default 224 224; the others have theirs.
        label_smoothing: of the targets, in 0 to 1.
        check_data: read all files before the first step and tell of all faults at once.
        max_images: use only so many images of each split, from all over it.
    """
    check_options(size=(size, *SIDE), epochs=(epochs, *COUNT), batch_size=(batch_size, *BATCH))
    require_folder(run.output)
    train_files, val_files = (
        limit_classification(files, max_images)
        for files in find_classification(dataset, (train_split, val_split), data_root, download)
    )
    check_classification(train_files, val_files, read=check_data)
    held = train_files.size
    if held is not None and size is not None:
        raise TaskError(f"--size is for --dataset folder; images of {dataset} are {held[1]}x{held[0]}")
    size = held or size or (224, 224)
    if augmentation.flip is None:
        augmentation = replace(augmentation, flip=0.0 if dataset == "mnist" else 0.5)
    names, colours, crop_ratio = train_files.names, default_colours(len(train_files.names)), 1.0 if held else 0.875
    spec = classification_spec(
        backbone, backbone_options, names, colours, size, {"dropout": dropout}, crop_ratio=crop_ratio
    )
    spec = replace(spec, **start_normalisation(spec.table, weights))
    run.seed_everything()
    task = ClassificationTask(spec, optimization, label_smoothing, distillation.load(spec.names))
    require_step(task.network, batch_size, size)
    if weights is not None:
        print(load_weights(task.network.backbone, weights))
    train, val = training_samples(train_files, size, augmentation), evaluation_samples(val_files, size, spec.crop_ratio)
    name = f"{dataset}_{backbone}"
    folder = run.fit(task, train, val, "val/top1", name, config_text, epochs, batch_size, draw_labels, drawn=24)
    if (folder / "best.ckpt").is_file():
        rank_zero_only(judge_classifier)(folder / "best.ckpt", val_files, folder / f"eval_{val_split}")
    return folder


if __name__ == "__main__":
    command(train_cls)
