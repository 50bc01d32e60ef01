"""Options of tools that have to do with exported files; nothing here imports torch."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from datasets.grouping import check_group_by
from datasets.ranges import COUNT, check_fields
from tasks.errors import TaskError
from tasks.options import require_data

Runtime = Literal["torch", "onnx", "openvino", "executorch", "litert", "mediapipe"]
FormatName = Literal["onnx", "openvino", "executorch", "litert"]


@dataclass(frozen=True)
class Quantisation:
    """How the numbers of a file are kept.

    Args:
        int8: compute with 8-bit integers, a quarter of the size; --calibration is needed.
        float16: keep numbers in 16 bits, half of the size, for GPUs of phones.
        calibration: what int8's ranges are measured on: a folder with images like those that the network will see, or
            the name of a dataset, NAME or NAME:SPLIT (of its split train by default; a folder of such a name is
            ./NAME). Without --dataset, every fifth of the images is kept back, and the file must agree on them with the
            checkpoint.
        calibration_images: how many are taken, from all over the folder or split.
        qat: for int8: train on for a few epochs in 8 bits (quantisation-aware training), for where rounding alone loses
            too much. On the split that --calibration names, with the loss and augmentation of config.yaml beside the
            checkpoint; --dataset must name another split.
        qat_epochs: passes over it.
        qat_lr: the highest learning rate.

    Raises:
        DataError: for a number outside its range.
        TaskError: for options that exclude or need one another.
    """

    int8: bool = False
    float16: bool = False
    calibration: str | None = None
    calibration_images: int = 128
    qat: bool = False
    qat_epochs: int = 5
    qat_lr: float = 2e-4

    def __post_init__(self) -> None:
        check_fields(self, {"calibration_images": (1, 100_000), "qat_epochs": COUNT, "qat_lr": (1e-8, 1)})
        if self.int8 and self.float16:
            raise TaskError("give either --int8 or --float16")
        if self.int8 and self.calibration is None:
            raise TaskError("--int8 needs --calibration: a folder of images, or the name of a dataset")
        if self.qat and not self.int8:
            raise TaskError("--qat is for --int8")
        if self.calibration is not None and self.precision == "float32":
            raise TaskError("--calibration is for --int8 and --float16")

    @property
    def precision(self) -> str:
        """As a file's description has it."""
        return "int8" if self.int8 else "float16" if self.float16 else "float32"


@dataclass(frozen=True)
class Gate:
    """What a file has to show before it gets its name.

    Args:
        dataset: what the file is evaluated on, as in training: where it loses more than --max-drop against the
            checkpoint, it is not written.
        data_root: where --dataset is, and the one that --calibration names; by default data/ and the dataset's name.
        split: to evaluate the file on.
        max_drop: points of mIoU, of COCO's AP or of top-1 that it may lose.
        max_images: use only so many images of the split.
        group_by: as in training.
        classes: as in training.

    Raises:
        DataError: for a number outside its range, or a pattern that is none.
        TaskError: for options of an evaluation without a dataset.
    """

    dataset: str | None = None
    data_root: Path | None = None
    split: str = "val"
    max_drop: float = 1.0
    max_images: int | None = None
    group_by: str | None = None
    classes: Literal["voc"] | None = None

    def __post_init__(self) -> None:
        check_fields(self, {"max_drop": (0, 100), "max_images": COUNT})
        check_group_by(self.group_by)
        require_data(self.data_root, self.dataset == "shapes")
        for option in ("split", "max_drop", "max_images"):
            if self.dataset is None and getattr(self, option) != getattr(Gate, option):
                raise TaskError(f"--{option.replace('_', '-')} needs --dataset, on which the file is evaluated")
