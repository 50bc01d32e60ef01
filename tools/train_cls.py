"""Train a classifier, and evaluate it.

python tools/train_cls.py                                          # the objects of the embedded Shapes set
python tools/train_cls.py --dataset cifar10 --backbone v3-large --download
python tools/train_cls.py --dataset mnist --download
python tools/train_cls.py --dataset folder --data-root DIR --backbone v3-large --weights imagenet
python tools/train_cls.py --dataset cifar10 --teacher runs/cifar10_v3-large/best.ckpt
"""

import sys
from pathlib import Path

sys.path[0] = str(Path(__file__).resolve().parents[1])

from backbones.backbone_options import BackboneOptions
from datasets.classification.augment_options import ClassificationAugmentation
from tasks.classification.options import ClassificationOptions
from tasks.options import Data, Network, Optimization, Run
from tools.cli import command


def train_cls(
    config_text: str,
    data: Data,
    network: Network,
    backbone_options: BackboneOptions,
    options: ClassificationOptions,
    optimization: Optimization,
    augmentation: ClassificationAugmentation,
    run: Run,
) -> Path:
    """Train a classifier, keep its best and last checkpoint, and print what the best one reaches."""
    from tasks.commands import train

    return train(
        "classification", data, network, backbone_options, optimization, augmentation, options, run, config_text
    )


if __name__ == "__main__":
    command(train_cls)
