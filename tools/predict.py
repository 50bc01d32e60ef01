"""Predict pictures, videos or a webcam with a trained checkpoint.

python tools/predict.py --checkpoint runs/shapes_v3-small_lraspp/best.ckpt --source data/shapes/JPEGImages --output out
python tools/predict.py --checkpoint best.ckpt --source "photos/**/*.jpg" --json
python tools/predict.py --checkpoint best.ckpt --source drive.mp4
python tools/predict.py --checkpoint best.ckpt --source webcam
"""

import sys
from pathlib import Path

sys.path[0] = str(Path(__file__).resolve().parents[1])

from tasks import SegmentationTask
from tasks.prediction import find_sources, predict_pictures, predict_video
from tools.cli import run


def predict(
    checkpoint: Path,
    source: str,
    output: Path = Path("predictions"),
    scales: list[float] = [1.0],  # noqa: B006 the parser reads the default and nobody changes it
    flip: bool = False,
    window: tuple[int, int] | None = None,
    opacity: float = 0.55,
    json: bool = False,
    max_frames: int | None = None,
    device: str = "auto",
) -> Path:
    """Write overlays (NAME_overlay.png) and palette masks (NAME_mask.png), or an overlaid video.

    Args:
        checkpoint: written by train_seg.
        source: a picture, a folder (searched in depth), a glob in quotes, a video, or webcam (webcam:1 for the second).
        output: folder for the results; names and sub-folders of the source are kept.
        scales: sizes at which the network sees a picture; probabilities are averaged.
        flip: also mirrored, averaged likewise.
        window: height and width of a sliding window with half overlap, for very large pictures.
        opacity: of the colours over the picture, 0 to 1.
        json: also write NAME.json with the pixels and the share of every class.
        max_frames: stop a video or webcam after so many frames.
        device: cpu, cuda, or auto.
    """
    found = find_sources(source)
    task = SegmentationTask.load(checkpoint, device)
    options = {"scales": scales, "flip": flip, "window": window}
    if found.video is not None:
        written = predict_video(task, found.video, output, opacity, max_frames, options)
        print(f"wrote {written}")
    else:
        count = predict_pictures(task, found, output, opacity, json, options)
        print(f"wrote overlays and masks of {count} pictures to {output}")
    return output


if __name__ == "__main__":
    run(predict)
