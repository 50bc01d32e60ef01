"""A detector that another one learns from, and whether it knows the classes that it is to teach."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from datasets import tell_difference
from heads import Anchors, DetectionLoss, box_distillation_loss, decode_detections, resize
from tasks.base import Task
from tasks.detection.options import DetectionOptions
from tasks.errors import TaskError
from tasks.teacher import Teacher, of_classes

SURE = 0.5  # score of a detection that is taught like a label


@dataclass(eq=False)
class BoxTeacher(Teacher):
    """A detector that teaches, anchor by anchor if it has the student's, and else by what it detects.

    Args:
        spec: of the network, a `DetectionSpec`; `heads.SSDLite` has the outputs.
        anchors: of the network.
        same: whether the student has these anchors, and scores of the same kind.
    """

    spec: Any
    anchors: Anchors
    same: bool

    @torch.no_grad()
    def raw(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Logits of the student's classes, float32 [N, A, K + 1], and offsets, for uint8 images [N, 3, H, W].

        What the teacher takes for another class than these is background.
        """
        logits, offsets = self.seen(resize(images.float(), self.spec.input_size))[-2:]
        order = [0, *(1 + place for place in self.order)]
        return of_classes(logits.mT, order, None if self.spec.sigmoid else 0).mT, offsets.float()

    def teach(
        self, logits: Tensor, offsets: Tensor, images: Tensor, criterion: DetectionLoss, anchors: Anchors
    ) -> tuple[Tensor, Tensor]:
        """Class and box loss of a student's outputs.

        Args:
            logits: of the student, float [N, A, K + 1].
            offsets: likewise, float [N, A, 4].
            images: uint8 [N, 3, H, W] that it saw.
            criterion: of the student's own training.
            anchors: of the student.
        """
        theirs = self.raw(images)
        if self.same:
            return box_distillation_loss(logits, offsets, *theirs, self.temperature, self.spec.sigmoid)
        found = decode_detections(
            *theirs, self.anchors.boxes.to(logits.device), self.spec.sigmoid, score_threshold=SURE
        )
        there = torch.arange(found.labels.shape[1], device=logits.device) < found.counts[:, None]
        return criterion(logits, offsets, anchors, found.boxes, found.labels.where(there, -1))


def load_box_teacher(
    options: DetectionOptions, spec: Any, anchors: Anchors, load: Callable[[str, str], Task]
) -> BoxTeacher | None:
    """The teacher of a student, or None where none is asked for.

    Args:
        options: which one, and how it teaches.
        spec: of the student; the teacher may have other classes beside its.
        anchors: of the student.
        load: what loads a task of any kind from a path onto a device.

    Raises:
        TaskError: for a teacher that is no detector, or lacks a class.
        CheckpointError: if there is no such checkpoint.
        FileNotFoundError, ConnectionError: for one on the hub, if it is not there or cannot be fetched.
    """
    if options.teacher is None:
        return None
    task: Any = load(options.teacher, "cpu")
    if task.kind not in ("detection", "joint"):
        raise TaskError(f"--teacher {options.teacher}: is for {task.kind}, and teaches no boxes")
    theirs = task.spec if task.kind == "detection" else task.spec.boxes
    if not set(spec.names) <= set(theirs.names):
        difference = tell_difference(theirs.names, spec.names, "the teacher", "the data")
        raise TaskError(f"--teacher {options.teacher} lacks classes of the data: {difference}")
    same = theirs.sigmoid == spec.sigmoid and torch.equal(task.anchors.boxes, anchors.boxes)
    order = [theirs.names.index(name) for name in spec.names]
    network, how = task.fold().network, (options.temperature, options.distillation_weight)
    return BoxTeacher(network, theirs.mean, theirs.std, order, *how, theirs, task.anchors, same)
