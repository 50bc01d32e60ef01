"""Train a segmentation network, and evaluate it.

python tools/train_seg.py                                                    # on the embedded Shapes set
python tools/train_seg.py --backbone v3-large --dataset voc --download true --weights imagenet
python tools/train_seg.py --dataset folder --data-root my_images --epochs 100
"""

import sys
from pathlib import Path

sys.path[0] = str(Path(__file__).resolve().parents[1])

from backbones.backbone_options import BackboneOptions
from datasets.segmentation.augment_options import SegmentationAugmentation
from tasks.options import Data, Network, Optimization, Run
from tasks.segmentation.options import SegmentationOptions
from tools.cli import command


def train_seg(
    config_text: str,
    data: Data,
    network: Network,
    backbone_options: BackboneOptions,
    options: SegmentationOptions,
    optimization: Optimization,
    augmentation: SegmentationAugmentation,
    run: Run,
) -> Path:
    """Train a segmentation network, keep its best and last checkpoint, and print what the best one reaches."""
    from tasks.commands import train

    return train("segmentation", data, network, backbone_options, optimization, augmentation, options, run, config_text)


if __name__ == "__main__":
    command(train_seg)
