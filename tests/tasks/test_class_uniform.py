"""--class-uniform in training: which samples hold which classes, runs that are broken off, and what is refused."""

from dataclasses import replace

import numpy as np
import pytest

from benchmarks.kills import differing_bits
from datasets.classification.find import shapes_objects
from datasets.joint.find import find_joint
from tasks import DetectionTask, SegmentationTask, TaskError
from tasks.wings import WINGS
from tests.conftest import quick_detection, quick_run


def test_holders_are_those_of_the_samples(shapes):
    files = find_joint("coco", "train", shapes)
    given = {"segmentation": files.masks, "detection": files.boxes, "joint": files}
    given["classification"] = shapes_objects(shapes, "train")
    for kind, split in given.items():
        found = WINGS[kind].holders(split)
        assert len(found) == len(split.names) and sum(map(len, found)) > len(found)
    masks, boxes, joint = (WINGS[kind].holders(given[kind]) for kind in ("segmentation", "detection", "joint"))
    assert masks[0].tolist() == list(range(16))  # background
    for label, name in enumerate(files.box_names):
        own = masks[files.names.index(name)]
        assert joint[files.names.index(name)].tolist() == sorted({*own.tolist(), *boxes[label].tolist()})


def test_holders_of_images_with_one_kind_of_label(shapes):
    whole = find_joint("coco", "train", shapes)
    masks = replace(whole.masks, pairs=whole.masks.pairs[:10])
    partly = replace(whole, masks=masks, boxes=whole.boxes.at(range(6, 16)))
    found = WINGS["joint"].holders(partly)
    held = [{image for image in partly.images if image.path in (partly.images[i].path for i in at)} for at in found]
    assert {image.boxes for image in held[1] if image.mask is None} == {
        index for index in range(4, 10) if 0 in partly.boxes.objects[index].labels
    }
    assert all(image.mask is not None for image in held[0])
    with pytest.raises(TaskError, match="--class-uniform draws from all images alike"):
        WINGS["joint"].holders(replace(whole, share=0.5))


@pytest.mark.parametrize("tool, task", [("train_seg", SegmentationTask), ("train_det", DetectionTask)])
def test_a_broken_off_run_ends_with_the_same_bits(tool, task, shapes, tmp_path, tool_here, monkeypatch):
    quick = quick_run if tool == "train_seg" else quick_detection
    options = [*quick(shapes, tmp_path / "whole"), "--width", "0.25", "--class-uniform", "0.5", "--name", "run"]
    options += ["--batch-size", "4", "--save-every", "1", "--repeat", "2"]
    tool_here(tool, *options)
    options[options.index("--output") + 1] = str(tmp_path / "broken")
    step, files = task.training_step, []

    def breaking(self, batch, index):
        if self.global_step == 11:  # in the second epoch
            raise TaskError("broken off")
        files.extend(batch["file"])
        return step(self, batch, index)

    with monkeypatch.context() as patched:
        patched.setattr(task, "training_step", breaking)
        assert "broken off" in tool_here(tool, *options, succeeds=False)
    assert len(files) == 44 and len(np.unique(files[:32])) < 16  # images of rare classes have taken others' places
    tool_here(tool, *options, "--resume")
    assert differing_bits(tmp_path / "whole" / "run", tmp_path / "broken" / "run") == 0
