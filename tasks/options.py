"""The options that several tools have; nothing here imports torch, so that a tool's --help is there at once."""

import math
import os
import re
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from datasets.faults import DataError, one_line
from datasets.grouping import check_group_by
from datasets.ranges import BATCH, COUNT, DRAWN, SEED, WINDOW, WORKERS, check_fields
from tasks.errors import RunError, TaskError

LoggerName = Literal["csv", "tensorboard", "wandb", "mlflow"]
NOT_WRITTEN = ("resume", "overwrite")  # a config that holds them would go on with its run, or destroy it


@dataclass(frozen=True)
class Data:
    """What is trained on.

    Args:
        dataset: shapes (made on first use), voc, coco, coco-stuff, coco-panoptic, cityscapes, ade20k, folder, yolo,
            labelme, cvat, cifar10 or mnist; docs/data.md says which task reads which, and how they must lie.
        data_root: where the data is; by default data/ and the dataset's name.
        download: fetch VOC, CIFAR-10 or MNIST if it is not there.
        train_split: the split to train on.
        val_split: the split that chooses the best checkpoint.
        check_data: read all files before the first step and tell of all faults at once.
        max_images: use only so many images of each split.
        repeat: passes over the training images that are one epoch, at whose end a run validates and saves; for a few
            hundred images, whose epochs are over too soon.
        class_uniform: share of an epoch's images, 0 to 1, that are drawn class by class, as often for each, so that
            rare ones are seen more; for segmentation crops of these hold a pixel of the class.
        cache: keep the decoded training images in memory.
        group_by: for folder, coco, yolo, labelme and cvat without splits of their own: every fifth group is val, where
            one is a "folder", or the first group of a regular expression of the file's name, such as "(.+)_[0-9]+".
            By default every fifth image is, which for frames of one video are those between two of training.
        classes: segmentation with coco: voc for VOC's 20 classes in place of all 80.

    Raises:
        DataError: for a number outside its range, or a pattern that is none.
    """

    dataset: str = "shapes"
    data_root: Path | None = None
    download: bool = False
    train_split: str = "train"
    val_split: str = "val"
    check_data: bool = True
    max_images: int | None = None
    repeat: int = 1
    class_uniform: float = 0.0
    cache: bool = False
    group_by: str | None = None
    classes: Literal["voc"] | None = None

    def __post_init__(self) -> None:
        check_fields(self, {"max_images": COUNT, "repeat": (1, 10**6), "class_uniform": (0, 1)})
        require_data(self.data_root, self.download or self.dataset == "shapes")
        check_group_by(self.group_by)


@dataclass(frozen=True)
class EvaluationData:
    """What is evaluated on.

    Args:
        dataset: as in training.
        data_root: where the data is; by default data/ and the dataset's name.
        split: the split to evaluate on.
        check_data: read all files first and tell of all faults at once.
        max_images: use only so many images.
        group_by: as in training.
        classes: as in training.

    Raises:
        DataError: for a number outside its range, or a pattern that is none.
    """

    dataset: str = "shapes"
    data_root: Path | None = None
    split: str = "val"
    check_data: bool = True
    max_images: int | None = None
    group_by: str | None = None
    classes: Literal["voc"] | None = None

    def __post_init__(self) -> None:
        check_fields(self, {"max_images": COUNT})
        check_group_by(self.group_by)
        require_data(self.data_root, self.dataset == "shapes")


def require_data(root: Path | None, made: bool) -> None:
    """Refuse a place where there is no data, unless it is made there."""
    if root is not None and not made and not os.path.exists(root):  # False for names that no file can have, too
        raise DataError(f"--data-root {one_line(root)}: no such file or folder")


def check_unlabelled(unlabelled: Path | None, teacher: str | None) -> None:
    """Refuse unlabelled images where nobody says what they show.

    Raises:
        TaskError: if so.
    """
    if unlabelled is not None and teacher is None:
        raise TaskError(f"--unlabelled {one_line(unlabelled)} needs a teacher, who says what the images show")


@dataclass(frozen=True)
class Network:
    """What is trained.

    Args:
        backbone: v1, v2, mnasnet-a1, mnasnet-b1, v3-large, v3-small, timm:NAME for a network of timm's, such as
            timm:mobilenetv4_conv_small, hf://OWNER/NAME for one on the Hugging Face hub, or a file: a checkpoint, or a
            .json that a search wrote. A checkpoint of the same task also tells the head and its options.
        head: for segmentation lraspp, raspp, lraspp-torchvision, or a decoder of segmentation-models-pytorch: unet,
            unetplusplus, manet, linknet, fpn, pspnet, pan, deeplabv3, deeplabv3plus, upernet, segformer. For detection
            ssdlite (the papers': 3 anchors in the first map) or ssdlite-torchvision (6). For classification classifier.
            By default the first of these.
        weights: imagenet, hf://OWNER/NAME, torchvision:NAME or a weights file to start from. Detection also takes coco
            (torchvision's SSDLite320 on v3-large). Of a network for the same task with the same head, classes of the
            same name keep what they learned.
        head_options: options of the head, such as --head-options.filters 256. For detection, small_objects true adds a
            map at stride 8 (as by default for shapes), and least_scale 0.1 sets the smallest anchors.
    """

    backbone: str = "v3-small"
    head: str | None = None
    weights: str | None = None
    head_options: dict[str, Any] | None = None


@dataclass(frozen=True)
class Optimization:
    """How weights move.

    Args:
        epochs: passes over the training split (or --repeat times as many); by default 40 for segmentation, 60 for
            detection (12 on shapes) and for both in one network (16 on shapes), and 10 for classification.
        batch_size: images a step, over all processes; by default 16, and 64 for classification.
        optimizer: "sgd" with Nesterov momentum, or "adamw".
        lr: the highest learning rate.
        backbone_lr: of the backbone, if it is to be another one; it follows the same schedule.
        freeze: parts that keep their start weights and statistics: "backbone", or "all_but_last", which is all but the
            head's last layers, which give the logits (and the boxes' offsets).
        weight_decay: of convolution and linear weights; batch norm and biases have none.
        momentum: of SGD.
        schedule: "poly" falls as (1 - t) ** power, "cosine" as half a cosine; both end at 0.
        power: of "poly".
        warmup_steps: optimiser steps over which the rate rises from 0 to lr.

    Raises:
        DataError, TaskError: for a value outside its range.
    """

    epochs: int | None = None
    batch_size: int | None = None
    optimizer: Literal["sgd", "adamw"] = "adamw"
    lr: float = 1e-3
    backbone_lr: float | None = None
    freeze: Literal["backbone", "all_but_last"] | None = None
    weight_decay: float = 1e-2
    momentum: float = 0.9
    schedule: Literal["poly", "cosine"] = "poly"
    power: float = 0.9
    warmup_steps: int = 100

    def __post_init__(self) -> None:
        check_fields(self, {"epochs": COUNT, "batch_size": BATCH})
        for option, rate in (("lr", self.lr), ("backbone-lr", self.backbone_lr)):
            if rate is not None and not 0 < rate < 1e30:  # AdamW computes with it as a float32
                raise TaskError(f"--{option} {rate} is not a number above 0 and below 1e30")
        if self.freeze is not None and self.backbone_lr is not None:
            raise TaskError(f"--backbone-lr {self.backbone_lr} moves a backbone that --freeze {self.freeze} keeps")
        for option in ("weight_decay", "momentum", "power", "warmup_steps"):
            value = getattr(self, option)
            if not 0 <= value < (1 if option == "momentum" else math.inf):
                limit = " and below 1" if option == "momentum" else ""
                raise TaskError(f"--{option.replace('_', '-')} {value} is not a number from 0 up{limit}")


@dataclass(frozen=True)
class Interval:
    """How often something is done: every so many optimiser steps, or seconds."""

    steps: int = 0
    seconds: float = 0.0

    @classmethod
    def parse(cls, text: str, option: str = "save-every", steps: bool = True) -> "Interval":
        """ "500" is steps, where these are allowed; "90s", "10m" and "2h" are time.

        Raises:
            RunError: for anything else.
        """
        found = re.fullmatch(r"(\d{1,9})([smh]?)", text.strip())
        if not found or not int(found[1]) or not (steps or found[2]):
            either = "steps, such as 500, or " if steps else ""
            raise RunError(f"--{option} {text}: give {either}time, such as 90s, 10m or 2h")
        number = int(found[1])
        unit = {"s": 1, "m": 60, "h": 3600}.get(found[2])
        return cls(seconds=number * unit) if unit else cls(steps=number)


@dataclass(frozen=True)
class Run:
    """How a training run is carried out, and where it goes.

    Args:
        ema: decay of the averaged weights that are validated and saved, 0 for none.
        patience: stop after so many validations without improvement.
        compile: run the network through torch.compile.
        workers: loader processes; any number gives the same samples.
        seed: of weights, order and augmentation.
        name: of the run; by default DATASET_BACKBONE_HEAD, or DATASET_BACKBONE of a classifier.
        output: the folder that runs go to.
        resume: go on from the run's last checkpoint, or begin if it has none yet.
        overwrite: replace a run of the same name, from the first step on.
        max_time: end the run, and its schedule, after so much time of training (90s, 10m, 2h) and not by --epochs.
        logger: where numbers go beside metrics.csv, which is always written: tensorboard (events in the run's folder),
            wandb, mlflow, or csv for nowhere else. Several may be given. wandb and mlflow are extras, and read their
            own variables, such as WANDB_MODE=offline and MLFLOW_TRACKING_URI, which is a file in the run's folder by
            default.
        save_every: write last.ckpt between epochs too, after so many steps (500) or so much time (90s, 10m, 2h).
        export_weights: also write the best weights to this .safetensors file.
        trainer: any option of lightning.Trainer, such as --trainer.precision bf16-mixed, --trainer.devices 2,
            --trainer.gradient_clip_val 1, --trainer.accumulate_grad_batches 4 or --trainer.max_steps 100.

    Raises:
        DataError: for a number outside its range.
        RunError: for another value that cannot be.
    """

    ema: float = 0.998
    patience: int | None = None
    compile: bool = False
    workers: int = 2
    seed: int = 0
    name: str | None = None
    output: Path = Path("runs")
    resume: bool = False
    overwrite: bool = False
    max_time: str | None = None
    logger: list[LoggerName] = field(default_factory=lambda: ["tensorboard"])
    save_every: str | None = None
    export_weights: Path | None = None
    trainer: dict[str, Any] | None = None

    def __post_init__(self) -> None:
        check_fields(self, {"ema": (0, 0.999999), "patience": COUNT, "workers": WORKERS, "seed": SEED})
        if self.resume and self.overwrite:
            raise RunError("--resume goes on with a run, --overwrite replaces it: give one of the two")
        if self.export_weights is not None and self.export_weights.suffix != ".safetensors":
            raise RunError(f"--export-weights {self.export_weights}: the file's name must end in .safetensors")
        if self.save_every is not None:
            Interval.parse(self.save_every)
        if self.max_time is not None:
            Interval.parse(self.max_time, "max-time", steps=False)

    def named(self, name: str) -> "Run":
        """This run, with a name unless it was given one."""
        plain = re.sub(r"[^\w.-]+", "-", name)  # timm:NAME has more than a folder's name should
        return self if self.name is not None else replace(self, name=plain)

    @property
    def folder(self) -> Path:
        """The run's folder, inside `output`.

        Raises:
            RunError: for a name that leads out of it or is no name for a folder.
        """
        given = self.name or ""
        folder = self.output / given
        inside, top = Path(os.path.abspath(folder)), Path(os.path.abspath(self.output))
        if not given.strip() or top not in inside.parents:
            raise RunError(f"--name {given}: must name a folder inside {self.output}")
        if "\0" in given or max(len(os.fsencode(part)) for part in Path(given).parts) > 200:
            raise RunError(f"--name {given[:40]}...: is too long for a folder's name")
        for part in (top, inside):
            if part.exists() and not part.is_dir():
                raise RunError(f"{part}: is a file, and a run needs a folder; name another --output or --name")
        return folder


@dataclass(frozen=True)
class Prediction:
    """How images are predicted and what is written for them.

    Args:
        tta_scales: segmentation: sizes at which the network sees an image (0.75 1 1.25); probabilities are averaged.
        tta_flip: segmentation: also mirrored, averaged likewise.
        window: segmentation: height and width of a sliding window with half overlap; by default 1024 1024 for images
            above 16 megapixels, and none for smaller ones.
        tile: detection: height and width of tiles, overlapping by a fifth, that are looked at beside the whole image,
            for objects that are small in it.
        output_stride: segmentation: of the backbone, in place of the one that it was trained with: 8 gives finer masks
            and takes several times as long.
        opacity: segmentation: of the colours over the image, 0 to 1.
        score_threshold: detection: boxes with a score above this are drawn and written; by default the checkpoint's,
            at which the mean F1 of its classes was highest on the validation split, and 0.3 where it has none.
        max_drawn: detection: how many boxes are drawn at most, the best ones; --json has all of them.
        instances: for a joint network: also write NAME_instances.png, whose 16-bit values are the number of the box
            that a pixel belongs to (1 for the best one), and 0.
        track: detection, of a video or webcam: a box keeps a number from frame to frame, and how many objects of each
            class there were is drawn and told. An object counts from its third frame in a row.
        json: also write NAME.json with the pixels and the share of every class, or with every box; or
            predictions.json; with --track NAME_tracks.json, with all boxes of each object that counts.

    Raises:
        DataError: for a number outside its range.
    """

    tta_scales: list[float] = field(default_factory=lambda: [1.0])
    tta_flip: bool = False
    window: tuple[int, int] | None = None
    tile: tuple[int, int] | None = None
    output_stride: Literal[8, 16, 32] | None = None
    opacity: float = 0.55
    score_threshold: float | None = None
    max_drawn: int = 50
    instances: bool = False
    track: bool = False
    json: bool = False

    def __post_init__(self) -> None:
        ranges = {"tta_scales": (0.1, 4), "window": WINDOW, "opacity": (0, 1), "score_threshold": (0, 1)}
        check_fields(self, {**ranges, "tile": WINDOW, "max_drawn": DRAWN})


@dataclass(frozen=True)
class Evaluation:
    """How a checkpoint is evaluated, and where the results go.

    Args:
        drawn: how many images to draw: for segmentation (6 by default) the worst ones, and as many from all over the
            split; for detection (6) from all over it; for classification (40) the worst ones.
        workers: loader processes.
        device: cpu, cuda, or auto.
        output: folder for scores and images; by default eval_SPLIT beside the checkpoint that is evaluated, or
            eval_SPLIT_FILE beside an exported FILE.

    Raises:
        DataError: for a number outside its range.
    """

    drawn: int | None = None
    workers: int = 1
    device: str = "auto"
    output: Path | None = None

    def __post_init__(self) -> None:
        check_fields(self, {"drawn": DRAWN, "workers": WORKERS})
