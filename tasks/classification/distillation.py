"""Where a teacher comes from, and whether it knows the classes that it is to teach."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torchvision
from torch import nn
from torchvision.models import get_model, get_model_weights

from backbones.pretrained import fetch_weights, timm_pretrained
from backbones.weights_files import read_weights, require_usable
from datasets import tell_difference
from datasets.faults import did_you_mean
from tasks.base import IMAGENET_MEAN, IMAGENET_STD
from tasks.classification.options import ClassificationOptions
from tasks.classification.task import ClassificationTask
from tasks.errors import TaskError
from tasks.teacher import Teacher


def load_teacher(options: ClassificationOptions, names: Sequence[str]) -> Teacher | None:
    """The teacher of some classes, or None where none is asked for.

    Raises:
        TaskError: for a teacher that does not exist or has other classes, or a weights file that does not fit.
        CheckpointError: if there is no such checkpoint.
        FileNotFoundError: if there is no such weights file.
        ConnectionError: if the download fails.
    """
    if options.teacher is None:
        return None
    if options.library and options.teacher_weights is not None:
        name = options.teacher.partition(":")[2]
        network, known = _from_library(options.library, name, options.teacher_weights, names)
        config = getattr(network, "pretrained_cfg", {})
        mean, std = config.get("mean", IMAGENET_MEAN), config.get("std", IMAGENET_STD)
    else:
        task = ClassificationTask.load(options.teacher, "cpu")
        network, known, mean, std = task.network, task.spec.names, task.spec.mean, task.spec.std
    if set(known) != set(names):
        difference = tell_difference(known, names, "the teacher", "the data")
        raise TaskError(
            f"--teacher {options.teacher} has other classes, {len(known)} for the data's {len(names)}: {difference}"
        )
    order = [known.index(name) for name in names]
    return Teacher(network, mean, std, order, options.temperature, options.distillation_weight)


def _from_library(library: str, name: str, weights: str, names: Sequence[str]) -> tuple[nn.Module, list[str]]:
    """A network of timm or torchvision, and the names of its classes."""
    import timm  # takes seconds to import

    available = timm.list_models() if library == "timm" else torchvision.models.list_models(torchvision.models)
    if name.partition(".")[0] not in available:
        raise TaskError(f'{library} has no network "{name}"{did_you_mean(name, available)}')
    if weights != "imagenet":
        options: dict[str, Any] = {"num_classes": len(names)}
        network = timm.create_model(name, **options) if library == "timm" else get_model(name, weights=None, **options)
        _fill(network, Path(weights), f"{library}:{name} with {len(names)} classes")
        return network, list(names)
    if library == "timm":
        network = timm_pretrained(name)
    else:
        network = get_model(name, weights=None)
        network.load_state_dict(fetch_weights(get_model_weights(name).DEFAULT))
    # ILSVRC's folders have the names of WordNet's nouns, such as n01440764, and its classes their order
    subset = timm.data.infer_imagenet_subset(network) if library == "timm" else "imagenet-1k"
    return network, timm.data.ImageNetInfo(subset).label_names() if subset else []


def _fill(network: nn.Module, path: Path, what: str) -> None:
    state, own = read_weights(path)[0], network.state_dict()
    for key in [*own, *state]:
        theirs, ours = (list(found[key].shape) if key in found else "missing" for found in (state, own))
        if theirs != ours:
            raise TaskError(f"{path}: does not fit {what}: {key} is {theirs} in the file, and {ours} in the network")
        require_usable(path, key, state[key], own[key])
    network.load_state_dict(state)
