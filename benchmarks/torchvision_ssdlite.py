"""torchvision's own detection recipe, as in its references/detection: the peer that our detection figures are held to.

    python benchmarks/torchvision_ssdlite.py --data-root DIR --train trainval --test test --output runs/torchvision-bccd

DIR has JPEGImages and annotations_coco/instances_SPLIT.json. Nothing of our package is used here but the reading of
options. The recipe is that of ssdlite320_mobilenet_v3_large: IoU crop and flip, SGD 0.15 for 192 images a step (scaled
to the batch), weight decay 4e-5, cosine.
"""

import json
import sys
import time
from pathlib import Path

import torch
from PIL import Image
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval
from torch.utils.data import DataLoader, Dataset
from torchvision import tv_tensors
from torchvision.models.detection import ssdlite320_mobilenet_v3_large
from torchvision.transforms import v2


def train_transform() -> v2.Transform:
    """The reference's `DetectionPresetTrain` with data augmentation "ssdlite"."""
    return v2.Compose(
        [
            v2.ToImage(),
            v2.RandomIoUCrop(),
            v2.RandomHorizontalFlip(0.5),
            v2.ToDtype(torch.float32, scale=True),
            v2.SanitizeBoundingBoxes(),
        ]
    )


class CocoTree(Dataset):
    """Images and boxes of one split; boxes without area are left out, as in the reference."""

    def __init__(self, root: Path, split: str, transform: v2.Transform) -> None:
        self.root, self.transform = root, transform
        self.coco = COCO(root / "annotations_coco" / f"instances_{split}.json")
        self.ids = sorted(self.coco.getImgIds())
        self.categories = sorted(self.coco.getCatIds())

    def __len__(self) -> int:
        return len(self.ids)

    def __getitem__(self, index: int):
        entry = self.coco.loadImgs(self.ids[index])[0]
        image = Image.open(self.root / "JPEGImages" / entry["file_name"]).convert("RGB")
        found = [a for a in self.coco.imgToAnns[self.ids[index]] if a["bbox"][2] > 0 and a["bbox"][3] > 0]
        boxes = torch.tensor([a["bbox"] for a in found], dtype=torch.float32).reshape(-1, 4)
        boxes[:, 2:] += boxes[:, :2]
        boxes = tv_tensors.BoundingBoxes(boxes, format="XYXY", canvas_size=(image.height, image.width))
        labels = torch.tensor([self.categories.index(a["category_id"]) + 1 for a in found], dtype=torch.int64)
        return self.transform(image, {"boxes": boxes, "labels": labels, "id": self.ids[index]})


@torch.inference_mode()
def evaluate(net: torch.nn.Module, dataset: CocoTree) -> list[float]:
    """The twelve COCO numbers by pycocotools."""
    net.eval()
    results = []
    for image, target in dataset:
        found = net([image])[0]
        boxes = found["boxes"].clone()
        boxes[:, 2:] -= boxes[:, :2]
        rows = zip(boxes.tolist(), found["scores"].tolist(), found["labels"].tolist(), strict=True)
        results += [
            {"image_id": target["id"], "category_id": dataset.categories[label - 1], "bbox": box, "score": score}
            for box, score, label in rows
        ]
    evaluation = COCOeval(dataset.coco, dataset.coco.loadRes(results), "bbox")
    evaluation.evaluate()
    evaluation.accumulate()
    evaluation.summarize()
    return evaluation.stats.tolist()


def main(
    data_root: Path,
    output: Path,
    train: str = "trainval",
    test: str = "test",
    epochs: int = 100,
    batch_size: int = 16,
    seed: int = 0,
) -> None:
    """Train torchvision's SSDLite320 from scratch by its reference recipe and print the COCO numbers.

    Args:
        data_root: with JPEGImages and annotations_coco.
        output: folder for result.json and the weights.
        train: the split to train on.
        test: the split to evaluate on.
        epochs: passes over the training split.
        batch_size: images a step.
        seed: of the weights and the order.
    """
    torch.manual_seed(seed)
    dataset = CocoTree(data_root, train, train_transform())
    classes = len(dataset.categories) + 1
    net = ssdlite320_mobilenet_v3_large(weights=None, weights_backbone=None, num_classes=classes)
    loader = DataLoader(
        dataset,
        batch_size,
        shuffle=True,
        num_workers=1,
        drop_last=True,
        persistent_workers=True,
        collate_fn=lambda samples: tuple(zip(*samples, strict=True)),
    )
    optimizer = torch.optim.SGD(net.parameters(), lr=0.15 * batch_size / 192, momentum=0.9, weight_decay=4e-5)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, epochs * len(loader))
    warm_up = torch.optim.lr_scheduler.LinearLR(optimizer, 0.001, total_iters=min(1000, len(loader) - 1))
    started = time.perf_counter()
    for epoch in range(epochs):
        net.train()
        total = 0.0
        for images, targets in loader:
            loss = sum(net(list(images), list(targets)).values())
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            if epoch == 0:  # the reference warms up over the first epoch
                warm_up.step()
            else:
                schedule.step()
            total += loss.item()
        print(f"epoch {epoch} loss {total / len(loader):.4f} after {time.perf_counter() - started:.0f} s", flush=True)
    output.mkdir(parents=True, exist_ok=True)
    torch.save(net.state_dict(), output / "weights.pth")
    plain = v2.Compose([v2.ToImage(), v2.ToDtype(torch.float32, scale=True)])
    stats = evaluate(net, CocoTree(data_root, test, plain))
    result = {"AP": stats[0], "AP50": stats[1], "stats": stats, "epochs": epochs, "batch_size": batch_size}
    (output / "result.json").write_text(json.dumps(result, indent=1))
    print(json.dumps(result, indent=1))


if __name__ == "__main__":
    sys.path[0] = str(Path(__file__).resolve().parents[1])
    from tools.cli import command

    command(main)
