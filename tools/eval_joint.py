"""Evaluate a joint checkpoint: IoU of every class of masks, the twelve COCO numbers of boxes, and their mean.

python tools/eval_joint.py --checkpoint runs/shapes_v3-small_lraspp-ssdlite/best.ckpt
python tools/eval_joint.py --checkpoint best.ckpt --dataset voc --data-root DIR
"""

import sys
from pathlib import Path

sys.path[0] = str(Path(__file__).resolve().parents[1])

from datasets.ranges import WINDOW, check_options
from deploy.export_options import Runtime
from tasks.errors import require_checkpoint
from tasks.joint.options import require_boxes
from tasks.options import Evaluation, EvaluationData
from tools.cli import command


def eval_joint(
    data: EvaluationData,
    evaluation: Evaluation,
    checkpoint: Path,
    box_dataset: str | None = None,
    box_data_root: Path | None = None,
    instances: bool = False,
    tile: tuple[int, int] | None = None,
    runtime: Runtime | None = None,
) -> Path:
    """Evaluate a joint checkpoint on a split.

    Args:
        data: what is evaluated on.
        evaluation: how, and where to.
        checkpoint: written by train_joint, or exported from one by tools/export.py.
        box_dataset: where boxes come from, as in training.
        box_data_root: likewise.
        instances: also COCO's segm numbers of instance masks, which are the class mask cut by each box; for shapes and
            coco, whose annotations have the mask of every object.
        tile: height and width of tiles, overlapping by a fifth, that are looked at beside the whole image, for objects
            that are small in it.
        runtime: what runs it. By default torch for a checkpoint, and for an exported file the one that it is for.
    """
    check_options(tile=(tile, *WINDOW))
    require_boxes(box_dataset, box_data_root)
    require_checkpoint(checkpoint)
    from datasets.joint.find import boxes_from, find_joint
    from deploy.runtimes import loader
    from tasks.commands import evaluate
    from tasks.joint.instances import require_instances

    if instances:
        require_instances(box_dataset or data.dataset)

    files = find_joint(data.dataset, data.split, data.data_root, False, data.group_by, data.classes)
    files = boxes_from(files, box_dataset, box_data_root)
    return evaluate("joint", checkpoint, data, evaluation, files, load=loader(runtime), tile=tile, instances=instances)


if __name__ == "__main__":
    command(eval_joint)
