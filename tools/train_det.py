"""Train a detection network (SSDLite), and evaluate it.

python tools/train_det.py                                                    # on the embedded Shapes set
python tools/train_det.py --backbone v3-large --dataset coco --data-root DIR --weights coco --head ssdlite-torchvision
python tools/train_det.py --dataset voc --data-root DIR --epochs 200
"""

import sys
from pathlib import Path

sys.path[0] = str(Path(__file__).resolve().parents[1])

from backbones.backbone_options import BackboneOptions
from datasets.detection.augment_options import DetectionAugmentation
from tasks.detection.options import DetectionOptions
from tasks.options import Data, Network, Optimization, Run
from tools.cli import command


def train_det(
    config_text: str,
    data: Data,
    network: Network,
    backbone_options: BackboneOptions,
    options: DetectionOptions,
    optimization: Optimization,
    augmentation: DetectionAugmentation,
    run: Run,
) -> Path:
    """Train a detection network, keep its best and last checkpoint, and print what the best one reaches."""
    from tasks.commands import train

    return train("detection", data, network, backbone_options, optimization, augmentation, options, run, config_text)


if __name__ == "__main__":
    command(train_det)
