import copy

import pytest
import torch

from backbones import BackboneOptions
from datasets.segmentation.augment_options import SegmentationAugmentation
from search import train_steps
from tasks.options import Network, Optimization
from tasks.segmentation.options import SegmentationOptions
from tasks.wings import WINGS

WING = WINGS["segmentation"]
OPTIONS = SegmentationOptions(crop=(64, 64))


@pytest.fixture(scope="module")
def task_and_samples(shapes):
    (files,) = WING.find_files("voc", ["train"], shapes)
    network = Network(backbone="v3-small")
    spec = WING.make_spec(network, BackboneOptions(width=0.35), files.names, files.colours, (64, 64), OPTIONS)
    task = WING.make_task(spec, Optimization(lr=1e-2, warmup_steps=0), OPTIONS)
    return task, WING.train_samples(files, spec, SegmentationAugmentation())


def test_the_same_arguments_give_the_same_weights_and_another_seed_others(task_and_samples):
    given, samples = task_and_samples
    tasks = [copy.deepcopy(given) for _ in range(3)]
    for task, seed in zip(tasks, (0, 0, 1), strict=True):
        train_steps(task, samples, steps=3, batch_size=4, seed=seed)
    one, again, other = (torch.cat([p.flatten() for p in task.network.parameters()]) for task in tasks)
    assert torch.equal(one, again) and not torch.equal(one, other)
    assert not tasks[0].training


def test_it_ends_after_the_steps_with_a_rate_of_nothing(task_and_samples):
    task = copy.deepcopy(task_and_samples[0])
    train_steps(task, task_and_samples[1], steps=5, batch_size=8)  # more than an epoch of two
    assert task.global_step == 5
    assert task.optimizers().param_groups[0]["lr"] < 1e-2 / 4
