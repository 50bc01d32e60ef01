"""The metadata by which MediaPipe Tasks runs a .tflite: what its tensors mean, class names, how images go in.

It is two flatbuffers of MediaPipe's own schemas (metadata_schema.fbs; object_detector_metadata_schema.fbs or
image_segmenter_metadata_schema.fbs), written here field by field, and a file of labels in a ZIP behind the model.
"""

import zipfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from deploy.description import Description
from deploy.extras import DeployError
from deploy.mediapipe_outputs import YXHW
from heads.anchors import CODING

ENTRY = "TFLITE_METADATA"  # of a model's metadata
LABELS = "labels.txt"
PARSER = "1.5.0"  # of the schema, the least one that knows custom metadata
FEATURE, IMAGE, BOXES = 1, 2, 3  # members of the union ContentProperties
NORMALISATION = 1  # of the union ProcessUnitOptions
AXIS_LABELS, VALUE_LABELS = 2, 3  # AssociatedFileType
RGB, BOUNDARIES, RATIO = 1, 1, 0  # ColorSpaceType, BoundingBoxType, CoordinateType
SOFTMAX = 2  # Activation
MOST_CLASSES = 256  # of a mask of bytes


def require_fit(description: Description) -> None:
    """Refuse networks that MediaPipe would take for others.

    Raises:
        DeployError: if so.
    """
    names = description.spec["names"]
    unfit = [name for name in names if not name or "\n" in name or "\r" in name]
    if unfit:
        raise DeployError(f"--target mediapipe: reads a class name from each line, which {unfit[0]!r:.80} is not")
    if description.task != "segmentation":
        return
    if not 2 <= len(names) <= MOST_CLASSES:
        raise DeployError(f"--target mediapipe: its segmenter has 2 to {MOST_CLASSES} classes, and this {len(names)}")
    if len(names) == 2 and names[1] == "hair":
        raise DeployError('--target mediapipe: treats two classes of which one is "hair" in its own way; rename it')


def append_labels(path: Path, names: Sequence[str]) -> None:
    """Put class names, a line each, into a ZIP behind a model, where MediaPipe looks for them."""
    with zipfile.ZipFile(path, "a") as archive:  # stored as they are, which MediaPipe asks for
        archive.writestr(zipfile.ZipInfo(LABELS), "\n".join(names))


Put = Callable[[int], None]  # one field of a table, into the slot of that number


class Writer:
    """Tables of a flatbuffer, the inner ones first; a table's fields are given in the order of the schema."""

    def __init__(self, flatbuffers: Any) -> None:
        self.builder = flatbuffers.Builder(1024)

    def text(self, text: str) -> Put:
        """A string."""
        return self.at(self.builder.CreateString(text))

    def at(self, offset: int) -> Put:
        """What is written already."""
        return lambda slot: self.builder.PrependUOffsetTRelativeSlot(slot, offset, 0)

    def byte(self, value: int) -> Put:
        """A byte, a truth, an enum or the kind of a union."""
        return lambda slot: self.builder.PrependInt8Slot(slot, value, 0)

    def integer(self, value: int) -> Put:
        """An int."""
        return lambda slot: self.builder.PrependInt32Slot(slot, value, 0)

    def number(self, value: float) -> Put:
        """A float."""
        return lambda slot: self.builder.PrependFloat32Slot(slot, value, 0.0)

    def vector(self, prepend: Callable[[Any], None], values: Sequence[Any], bytes_each: int = 4) -> Put:
        """Several of one type, of which `prepend` is the builder's method; bytes are aligned, as they are a buffer."""
        self.builder.StartVector(bytes_each, len(values), 16 if bytes_each == 1 else bytes_each)
        for value in reversed(values):
            prepend(value)
        return self.at(self.builder.EndVector())

    def tables(self, *tables: int) -> Put:
        """A vector of tables."""
        return self.vector(self.builder.PrependUOffsetTRelative, tables)

    def table(self, *fields: Put | None) -> int:
        """A table, and where it is; None leaves a field out."""
        self.builder.StartObject(len(fields))
        for slot, put in enumerate(fields):
            if put is not None:
                put(slot)
        end: int = self.builder.EndObject()
        return end

    def finish(self, root: int, identifier: bytes) -> bytes:
        """The flatbuffer of a table."""
        self.builder.Finish(root, identifier)
        return bytes(self.builder.Output())


def model_metadata(description: Description, flatbuffers: Any) -> bytes:
    """ModelMetadata for the ImageClassifier, ImageSegmenter or ObjectDetector, by the task and outputs of a file."""
    w = Writer(flatbuffers)
    content = w.table(w.byte(IMAGE), w.at(w.table(w.byte(RGB))))
    # the normalisation of training is in the graph, which takes values from 0 to 255
    means, stds = (w.vector(w.builder.PrependFloat32, [value]) for value in (0.0, 1.0))
    unit = w.table(w.byte(NORMALISATION), w.at(w.table(means, stds)))
    image = w.table(w.text("image"), None, None, w.at(content), w.tables(unit))
    outputs, custom = _OUTPUTS[description.task](w, description, flatbuffers)
    graph = w.table(None, None, w.tables(image), w.tables(*outputs), *(None,) * 5, w.tables(*custom))
    spec = description.spec
    root = w.table(
        w.text(f"{spec['table']['name']} with {spec['head']}"),
        w.text(f"{description.task}, exported by MobileDense"),
        w.text(description.made_by.get("mobiledense", "")),
        w.tables(graph),
        None,
        w.text(description.license or ""),
        None,
        w.text(PARSER),
    )
    return w.finish(root, b"M001")


def _feature(w: Writer, name: str, labels: int | None = None) -> int:
    """TensorMetadata of an output; `labels` says what the class names stand for."""
    content = w.table(w.byte(FEATURE), w.at(w.table()))
    files = None if labels is None else w.tables(w.table(w.text(LABELS), None, w.byte(labels)))
    return w.table(w.text(name), None, None, w.at(content), None, None, files)


def _custom(w: Writer, name: str, content: bytes) -> int:
    return w.table(w.text(name), w.vector(w.builder.PrependUint8, content, bytes_each=1))


def _classifier(w: Writer, description: Description, flatbuffers: Any) -> tuple[list[int], list[int]]:
    return [_feature(w, description.outputs[0], AXIS_LABELS)], []


def _segmenter(w: Writer, description: Description, flatbuffers: Any) -> tuple[list[int], list[int]]:
    own = Writer(flatbuffers)
    options = own.finish(own.table(own.byte(SOFTMAX), own.text(PARSER)), b"V001")
    return [_feature(w, description.outputs[0], AXIS_LABELS)], [_custom(w, "SEGMENTER_METADATA", options)]


def _detector(w: Writer, description: Description, flatbuffers: Any) -> tuple[list[int], list[int]]:
    names = description.outputs
    order = w.vector(w.builder.PrependUint32, YXHW)  # where left, top, right and bottom are
    boxes = w.table(order, w.byte(BOUNDARIES), w.byte(RATIO))
    # a raw detector's must say that they are such boxes, too, which they are once they are decoded
    location = w.table(w.text(names[0]), None, None, w.at(w.table(w.byte(BOXES), w.at(boxes))))
    if description.output_kind == "raw":
        options = _custom(w, "DETECTOR_METADATA", _decoding(description, flatbuffers))
        return [location, _feature(w, names[1], AXIS_LABELS)], [options]
    category, score = _feature(w, names[1], VALUE_LABELS), _feature(w, names[2])
    return [location, category, score, _feature(w, "number of detections")], []


def _decoding(description: Description, flatbuffers: Any) -> bytes:
    """ObjectDetectorOptions, by which MediaPipe decodes the two tensors of a raw detector."""
    w, anchors = Writer(flatbuffers), description.anchors or []
    fixed = w.table(w.tables(*(w.table(*map(w.number, anchor)) for anchor in anchors)))
    decoding = w.table(
        w.integer(len(description.spec["names"])),
        w.integer(len(anchors)),
        w.integer(4),  # numbers of a box
        w.integer(0),
        w.integer(0),  # keypoints, which if there were any would have
        w.integer(2),  # numbers each; MediaPipe ends the process at any other
        *map(w.number, CODING),
        w.byte(True),  # sides are logarithms
        w.byte(False),  # scores are probabilities already
    )
    return w.finish(w.table(w.text(PARSER), w.at(w.table(w.at(fixed))), w.at(decoding)), b"V001")


_OUTPUTS = {"classification": _classifier, "segmentation": _segmenter, "detection": _detector}
