"""torchvision's own segmentation recipe, as in its references/segmentation: the peer that our figures are held to.

    python benchmarks/torchvision_reference.py --data-root DIR --epochs 30 --output runs/torchvision-camvid

DIR is a tree in the VOC layout with a labels.txt. Nothing of our package is used here but the reading of options.
"""

import json
import sys
import time
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import nn
from torch.utils.data import DataLoader, Dataset
from torchvision import tv_tensors
from torchvision.models.segmentation import lraspp_mobilenet_v3_large
from torchvision.transforms import v2

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


def train_transform(base: int, crop: tuple[int, int]) -> v2.Transform:
    """The reference's `SegmentationPresetTrain`: short side in [base / 2, 2 * base], flip, crop, normalise."""
    return v2.Compose(
        [
            v2.RandomResize(min_size=base // 2, max_size=base * 2),
            v2.RandomHorizontalFlip(0.5),
            v2.RandomCrop(crop, pad_if_needed=True, fill={tv_tensors.Mask: 255, "others": 0}),
            v2.ToImage(),
            v2.ToDtype({tv_tensors.Image: torch.float32, tv_tensors.Mask: torch.int64, "others": None}, scale=True),
            v2.Normalize(MEAN, STD),
        ]
    )


def eval_transform() -> v2.Transform:
    """The reference's evaluation at the image's own size."""
    return v2.Compose(
        [
            v2.ToImage(),
            v2.ToDtype({tv_tensors.Image: torch.float32, tv_tensors.Mask: torch.int64, "others": None}, scale=True),
            v2.Normalize(MEAN, STD),
        ]
    )


class VocTree(Dataset):
    """Images and masks of one split, opened with PIL as `torchvision.datasets.VOCSegmentation` does."""

    def __init__(self, root: Path, split: str, transform: v2.Transform) -> None:
        self.root, self.transform = root, transform
        self.names = (root / "ImageSets" / "Segmentation" / f"{split}.txt").read_text().split()

    def __len__(self) -> int:
        return len(self.names)

    def __getitem__(self, index: int) -> tuple[torch.Tensor, torch.Tensor]:
        name = self.names[index]
        image = Image.open(self.root / "JPEGImages" / f"{name}.jpg").convert("RGB")
        mask = tv_tensors.Mask(np.array(Image.open(self.root / "SegmentationClass" / f"{name}.png")))
        return self.transform(image, mask)


def parameter_groups_and_schedule(net: nn.Module, steps: int, lr: float = 0.01):
    """SGD with momentum 0.9 and weight decay 1e-4 on everything, poly 0.9 a step: the reference's defaults."""
    optimizer = torch.optim.SGD(net.parameters(), lr=lr, momentum=0.9, weight_decay=1e-4)
    return optimizer, torch.optim.lr_scheduler.PolynomialLR(optimizer, total_iters=steps, power=0.9)


@torch.inference_mode()
def evaluate(net: nn.Module, root: Path, split: str, classes: int) -> list[float]:
    """IoU of every class from one confusion matrix over the split, each image at its own size."""
    net.eval()
    matrix = torch.zeros(classes, classes, dtype=torch.int64)
    for image, mask in DataLoader(VocTree(root, split, eval_transform()), batch_size=1, num_workers=1):
        predicted, valid = net(image)["out"].argmax(1), mask != 255
        matrix += torch.bincount(mask[valid] * classes + predicted[valid], minlength=classes**2).view(classes, classes)
    hits = matrix.diag().double()
    return (hits / (matrix.sum(0) + matrix.sum(1) - hits)).tolist()


def main(
    data_root: Path,
    output: Path,
    epochs: int = 30,
    batch_size: int = 8,
    crop: tuple[int, int] = (360, 480),
    seed: int = 0,
    split: str = "test",
) -> None:
    """Train torchvision's LR-ASPP from scratch by its reference recipe and print its IoU.

    Args:
        data_root: a tree in the VOC layout with a labels.txt.
        output: folder for result.json and the weights.
        epochs: passes over the train split.
        batch_size: images a step.
        crop: height and width of the training crop.
        seed: of the weights and the order.
        split: the split to evaluate on.
    """
    torch.manual_seed(seed)
    names = (data_root / "labels.txt").read_text().split()
    net = lraspp_mobilenet_v3_large(weights=None, weights_backbone=None, num_classes=len(names))
    dataset = VocTree(data_root, "train", train_transform(min(crop), crop))
    loader = DataLoader(dataset, batch_size, shuffle=True, num_workers=1, drop_last=True, persistent_workers=True)
    optimizer, schedule = parameter_groups_and_schedule(net, epochs * len(loader))
    started = time.perf_counter()
    for epoch in range(epochs):
        net.train()
        total = 0.0
        for image, mask in loader:
            loss = F.cross_entropy(net(image)["out"], mask, ignore_index=255)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
            total += loss.item()
        print(f"epoch {epoch} loss {total / len(loader):.4f} after {time.perf_counter() - started:.0f} s", flush=True)
    iou = evaluate(net, data_root, split, len(names))
    output.mkdir(parents=True, exist_ok=True)
    torch.save(net.state_dict(), output / "weights.pth")
    result = {"miou": float(np.nanmean(iou)), "iou": dict(zip(names, iou, strict=True)), "epochs": epochs}
    (output / "result.json").write_text(json.dumps(result, indent=1))
    print(json.dumps(result, indent=1))


if __name__ == "__main__":
    sys.path[0] = str(Path(__file__).resolve().parents[1])
    from tools.cli import command

    command(main)
