"""Predict images, videos or a webcam with a trained checkpoint.

python tools/predict.py --checkpoint runs/shapes_v3-small_lraspp/best.ckpt --source data/shapes/JPEGImages --output out
python tools/predict.py --checkpoint best.ckpt --source "photos/**/*.jpg" --json
python tools/predict.py --checkpoint best.ckpt --source drive.mp4 --track
python tools/predict.py --checkpoint best.ckpt --source webcam
"""

import math
import sys
from pathlib import Path

sys.path[0] = str(Path(__file__).resolve().parents[1])

from datasets.ranges import COUNT, check_options
from deploy.export_options import Runtime
from tasks.errors import require_checkpoint
from tasks.options import Prediction
from tools.cli import command


def predict(
    options: Prediction,
    checkpoint: Path,
    source: str,
    output: Path = Path("predictions"),
    max_frames: int | None = None,
    device: str = "auto",
    runtime: Runtime | None = None,
) -> Path:
    """Write what a network sees: NAME_overlay.png and NAME_mask.png, or NAME_boxes.png; or a video drawn on.

    For a classifier that is predictions.csv and contact.png, a sheet of the images with their classes.

    Args:
        options: how images are predicted, and what is written.
        checkpoint: written by a training, or exported from it by tools/export.py; hf://OWNER/NAME; or
            torchvision:lraspp_mobilenet_v3_large or torchvision:ssdlite320_mobilenet_v3_large.
        source: an image, a folder (searched in depth), a glob in quotes, a video, or webcam (webcam:1 for the second).
        output: folder for the results; names and sub-folders of the source are kept.
        max_frames: stop a video or webcam after so many frames.
        device: cpu, cuda, or auto.
        runtime: what runs the network. By default the one that an exported file is for; and for a checkpoint on the CPU
            the fastest one that is installed, openvino or onnx, where it is worth its start: for a video, from 200
            images on, and from 50 on if the network was converted before. The first time takes some seconds to convert
            it. Results are the same; torch is the plain way.
    """
    check_options(max_frames=(max_frames, *COUNT))
    require_checkpoint(checkpoint)
    from tasks.sources import find_sources

    found = find_sources(source, output)
    from deploy.runtimes import loader
    from tasks import commands

    images = len(found.image_paths) if found.video is None else math.inf
    return commands.predict(checkpoint, found, output, options, max_frames, device, loader(runtime, images))


if __name__ == "__main__":
    command(predict)
