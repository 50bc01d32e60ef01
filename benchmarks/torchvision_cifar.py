"""torchvision's MobileNetV3 with its stock stem on CIFAR-10: the peer that our figure with the small stem is held to.

    python benchmarks/torchvision_cifar.py --data-root DIR --output runs/torchvision-cifar10

The recipe is a config of ours: the same images, augmentation, optimiser, schedule, averaged weights, epochs
and batches. The network, its initialisation and its batch norms are torchvision's, and so is the loop around them.
"""

import dataclasses
import json
import sys
import time
from pathlib import Path
from typing import Any

sys.path[0] = str(Path(__file__).resolve().parents[1])

import torch
import torchvision
import yaml
from torch import Tensor
from torch.nn import functional as F
from torch.optim.swa_utils import AveragedModel
from torchvision.transforms.v2.functional import normalize

from datasets import (
    ClassificationAugmentation,
    check_classification,
    eval_loader,
    evaluation_samples,
    train_loader,
    training_samples,
)
from datasets.classification.find import find_files
from tasks import Optimization
from tasks.optim import build_optimizer
from tasks.trainer import keep_freed_memory

NETWORKS = {"v3-large": "mobilenet_v3_large", "v3-small": "mobilenet_v3_small"}
MEAN, STD = [0.485, 0.456, 0.406], [0.229, 0.224, 0.225]


def group(kind: Any, options: dict[str, Any]) -> Any:
    """The options of a config that belong to one of our groups."""
    return kind(**{field.name: options[field.name] for field in dataclasses.fields(kind) if field.name in options})


def averaged(network: torch.nn.Module, decay: float) -> AveragedModel:
    """The moving average that our runs keep: its decay starts low."""

    def average(averages: list[Tensor], current: list[Tensor], updates: Tensor) -> None:
        weight = 1 - min(decay, (1 + int(updates)) / (10 + int(updates)))
        if torch.is_floating_point(averages[0]):
            torch._foreach_lerp_(averages, current, weight)
        else:
            torch._foreach_copy_(averages, current)

    return AveragedModel(network, multi_avg_fn=torch.no_grad()(average), use_buffers=True)


def prepare(batch: dict[str, Any], device: torch.device) -> Tensor:
    """float32 images as the networks of torchvision expect them."""
    images = normalize(batch["image"].to(device).float() / 255, MEAN, STD)
    return images.contiguous(memory_format=torch.channels_last)


@torch.inference_mode()
def accuracy(network: torch.nn.Module, loader: Any, device: torch.device) -> float:
    """Share of the images that are right."""
    network.eval()
    right = [network(prepare(batch, device)).argmax(1).cpu() == batch["label"].cpu() for batch in loader]
    return torch.cat(right).float().mean().item()


def main(
    data_root: Path,
    recipe: Path = Path("configs/cls/cifar10_v3-large.yaml"),
    output: Path = Path("runs/torchvision-cifar10"),
    seed: int = 0,
) -> None:
    """Train torchvision's network by a recipe of ours and print its accuracy on the recipe's validation split.

    Args:
        data_root: of CIFAR-10, as in train_cls.
        recipe: a config of train_cls; its backbone says which network.
        output: folder for result.json and the weights.
        seed: of the weights and the order.
    """
    keep_freed_memory()
    options = yaml.safe_load(recipe.read_text())
    optimization, augmentation = group(Optimization, options), group(ClassificationAugmentation, options)
    epochs, batch_size = options["epochs"], options["batch_size"]
    splits = options["train_split"], options["val_split"]
    train_files, test_files = find_files("cifar10", splits, data_root)
    check_classification(train_files, test_files)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    samples = training_samples(train_files, (32, 32), augmentation)
    samples.to(device)
    loader = train_loader(samples, batch_size, 0, seed)
    torch.manual_seed(seed)
    create = getattr(torchvision.models, NETWORKS[options["backbone"]])
    network = create(num_classes=len(train_files.names), dropout=options.get("dropout", 0.2))
    network = network.to(device, memory_format=torch.channels_last)
    ema = averaged(network, options["ema"])
    built = build_optimizer(optimization, network, epochs * len(loader))
    optimizer, schedule = built["optimizer"], built["lr_scheduler"]["scheduler"]
    started = time.perf_counter()
    for epoch in range(epochs):
        network.train()
        loader.sampler.set_epoch(epoch)
        total = 0.0
        for batch in loader:
            logits = network(prepare(batch, device))
            loss = F.cross_entropy(logits, batch["target"], label_smoothing=options.get("label_smoothing", 0.0))
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
            ema.update_parameters(network)
            total += loss.item()
        print(f"epoch {epoch} loss {total / len(loader):.4f} after {time.perf_counter() - started:.0f} s", flush=True)
    seconds = time.perf_counter() - started
    top1 = accuracy(ema, eval_loader(evaluation_samples(test_files, (32, 32), 1.0), 0), device)
    seen = epochs * len(loader) * batch_size
    output.mkdir(parents=True, exist_ok=True)
    torch.save(ema.module.state_dict(), output / "weights.pth")
    result = {"top1": top1, "images_seen": seen, "seconds": seconds, "split": splits[1], "recipe": str(recipe)}
    (output / "result.json").write_text(json.dumps(result, indent=1))
    print(f"top-1 {100 * top1:.2f} % on {splits[1]} after {seen:,} images seen in {seconds:.0f} s")


if __name__ == "__main__":
    from tools.cli import command

    command(main)
