"""Export a checkpoint for a phone, a browser or another runtime.

python tools/export.py --checkpoint runs/shapes_v3-small_lraspp/best.ckpt --format onnx
python tools/export.py --checkpoint best.ckpt --format litert --output-kind mask --size 256 256
python tools/export.py --checkpoint best.ckpt --format litert --target mediapipe --license CC-BY-4.0
python tools/export.py --checkpoint best.ckpt --format openvino --int8 --calibration photos/
python tools/export.py --checkpoint best.ckpt --format onnx --int8 --calibration voc --dataset voc --data-root DIR
"""

import sys
from pathlib import Path
from typing import Literal

sys.path[0] = str(Path(__file__).resolve().parents[1])

from datasets.ranges import check_options
from deploy.export_options import FormatName, Gate, Quantisation
from tasks.errors import require_checkpoint
from tools.cli import command


def export(
    quantisation: Quantisation,
    gate: Gate,
    checkpoint: Path,
    format: FormatName,
    output: Path | None = None,
    output_kind: Literal["probabilities", "logits", "mask", "boxes", "plain", "raw"] | None = None,
    size: tuple[int, int] | None = None,
    input: Literal["uint8", "float32"] | None = None,
    target: Literal["mediapipe"] | None = None,
    license: str | None = None,
) -> Path:
    """Write a checkpoint as one file that a runtime runs: image in, masks, boxes or probabilities out.

    Every file says what it is: class names, sizes, where it comes from; the evaluation tools and predict take it in
    place of the checkpoint.

    Args:
        quantisation: how its numbers are kept.
        gate: what it has to show.
        checkpoint: written by training.
        format: onnx (.onnx, for ONNX Runtime), openvino (.xml with .bin), executorch (.pte with .json, for phones) or
            litert (.tflite, for phones and browsers).
        output: the file; by default beside the checkpoint under its name, with .int8 or .float16 behind it.
        output_kind: what comes out. For segmentation logits (at the head's own stride) or mask (class indices at the
            image's size). For detection boxes (with scores; in onnx and openvino behind non-maximum suppression) or raw
            (offsets from anchors, and logits). For classification probabilities. By default the first of these. With
            --target mediapipe boxes are what LiteRT's own operator leaves after non-maximum suppression within each
            class; plain does the same by operators that every runtime has, with 100 boxes at most; raw has no operator
            that a phone's GPU lacks, but then MediaPipe keeps one class an anchor, and suppresses at 0.3 over all
            classes together: of a dog behind a cat one is lost.
        size: height and width of the image; by default those of training.
        input: type of the image's values, which are 0 to 255 either way. By default uint8, and with --target mediapipe
            float32, without which MediaPipe prepares images on the CPU.
        target: mediapipe (with --format litert) adds what MediaPipe Tasks need to run the file in an app: the metadata
            of its ImageClassifier, ImageSegmenter or ObjectDetector, with the class names.
        license: of the data that the network was trained on, in a few words; it goes into the file.
    """
    check_options(size=(size, 16, 8192))
    require_checkpoint(checkpoint)
    from deploy.exporting import export
    from deploy.runtimes import parts

    path = export(checkpoint, format, output, output_kind, size, input, target, license, quantisation, gate)
    print(f"wrote {path}, {sum(file.stat().st_size for file in parts(path)) / 1e6:.2f} MB")
    return path


if __name__ == "__main__":
    command(export)
