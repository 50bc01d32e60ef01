"""Predict images, videos or a webcam with a trained checkpoint.

python tools/predict.py --checkpoint runs/shapes_v3-small_lraspp/best.ckpt --source data/shapes/JPEGImages --output out
python tools/predict.py --checkpoint best.ckpt --source "photos/**/*.jpg" --json
python tools/predict.py --checkpoint best.ckpt --source drive.mp4
python tools/predict.py --checkpoint best.ckpt --source webcam
"""

import sys
from pathlib import Path

sys.path[0] = str(Path(__file__).resolve().parents[1])

from datasets import COUNT, check_options
from tasks import ClassificationTask, SegmentationTask, load_task
from tasks.classification.prediction import classify_images, show_labels
from tasks.prediction import predict_images, show_boxes, show_masks
from tasks.readiness import choose_device, require_folder
from tasks.sources import find_sources
from tasks.video_prediction import predict_video
from tools.cli import command


def predict(
    checkpoint: Path,
    source: str,
    output: Path = Path("predictions"),
    tta_scales: list[float] = [1.0],  # noqa: B006 the parser reads the default and nobody changes it
    tta_flip: bool = False,
    window: tuple[int, int] | None = None,
    opacity: float = 0.55,
    score_threshold: float = 0.3,
    json: bool = False,
    max_frames: int | None = None,
    device: str = "auto",
) -> Path:
    """Write what a network sees: NAME_overlay.png and NAME_mask.png, or NAME_boxes.png; or a video drawn on.

    For a classifier that is predictions.csv and contact.png, a sheet of the images with their classes.

    Args:
        checkpoint: written by train_seg, train_det or train_cls.
        source: an image, a folder (searched in depth), a glob in quotes, a video, or webcam (webcam:1 for the second).
        output: folder for the results; names and sub-folders of the source are kept.
        tta_scales: segmentation: sizes at which the network sees an image; probabilities are averaged.
        tta_flip: segmentation: also mirrored, averaged likewise.
        window: segmentation: height and width of a sliding window with half overlap; by default 1024 1024 for images
            above 16 megapixels, and none for smaller ones.
        opacity: segmentation: of the colours over the image, 0 to 1.
        score_threshold: detection: boxes with a score above this are drawn and written.
        json: also write NAME.json with the pixels and the share of every class, or with every box; or
            predictions.json.
        max_frames: stop a video or webcam after so many frames.
        device: cpu, cuda, or auto.
    """
    check_options(opacity=(opacity, 0, 1), score_threshold=(score_threshold, 0, 1), max_frames=(max_frames, *COUNT))
    require_folder(output)
    found = find_sources(source, output)
    task = load_task(checkpoint, choose_device(device)).fold()
    if isinstance(task, ClassificationTask):
        show = show_labels(task)
    elif isinstance(task, SegmentationTask):
        show = show_masks(task, opacity, {"tta_scales": tta_scales, "tta_flip": tta_flip, "window": window})
    else:
        show = show_boxes(task, score_threshold)
    if found.video is not None:
        written, frames = predict_video(found.video, output, show, max_frames)
        print(f"wrote {written}, {frames} frames")
    else:
        if isinstance(task, ClassificationTask):
            count = classify_images(task, found, output, json)
        else:
            count = predict_images(found, output, show, task.spec.colours, json)
        print(f"wrote predictions for {count} images to {output}")
    return output


if __name__ == "__main__":
    command(predict)
