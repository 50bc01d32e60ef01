"""Train one network for masks and boxes (LR-ASPP and SSDLite on one backbone), and evaluate it.

python tools/train_joint.py                                                  # on the embedded Shapes set
python tools/train_joint.py --backbone v3-large --dataset voc --data-root DIR --weights imagenet
python tools/train_joint.py --dataset folder --data-root DIR --box-dataset yolo --box-data-root DIR
"""

import sys
from pathlib import Path

sys.path[0] = str(Path(__file__).resolve().parents[1])

from backbones.backbone_options import BackboneOptions
from datasets.detection.augment_options import DetectionAugmentation
from tasks.joint.options import JointOptions
from tasks.options import Data, Network, Optimization, Run
from tools.cli import command


def train_joint(
    config_text: str,
    data: Data,
    network: Network,
    backbone_options: BackboneOptions,
    options: JointOptions,
    optimization: Optimization,
    augmentation: DetectionAugmentation,
    run: Run,
) -> Path:
    """Train a joint network, keep its best and last checkpoint, and print what the best one reaches.

    The best one has the highest mean of mIoU and COCO's AP on the validation split.
    """
    from tasks.commands import train

    return train("joint", data, network, backbone_options, optimization, augmentation, options, run, config_text)


if __name__ == "__main__":
    command(train_joint)
