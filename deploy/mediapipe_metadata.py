"""The metadata by which MediaPipe Tasks runs a .tflite: what its tensors mean, class names, how images go in.

It is two flatbuffers of MediaPipe's own schemas (metadata_schema.fbs, object_detector_metadata_schema.fbs and
image_segmenter_metadata_schema.fbs of its sources), written here field by field, and label files in a ZIP behind the
model.
"""

from collections.abc import Callable, Sequence
from typing import Any

from deploy.description import Description
from deploy.extras import require
from heads.anchors import CODING

LABELS = "labels.txt"
PARSER = "1.5.0"  # of the metadata schema
IMAGE, BOXES, FEATURE = 2, 3, 1  # members of the union ContentProperties
NORMALISATION = 1  # of the union ProcessUnitOptions
AXIS_LABELS, VALUE_LABELS = 2, 3  # AssociatedFileType
RGB, BOUNDARIES, RATIO = 1, 1, 0
SOFTMAX = 2  # Activation of the segmenter


class Writer:
    """Tables of a flatbuffer, the inner ones first. A table is a list of its fields by their place in the schema."""

    def __init__(self) -> None:
        self.builder = require("flatbuffers", "litert", "--target mediapipe").Builder(1024)

    def text(self, text: str) -> Callable[[int], None]:
        return self.at(self.builder.CreateString(text))

    def at(self, offset: int) -> Callable[[int], None]:
        return lambda slot: self.builder.PrependUOffsetTRelativeSlot(slot, offset, 0)

    def byte(self, value: int) -> Callable[[int], None]:
        return lambda slot: self.builder.PrependInt8Slot(slot, value, 0)

    def integer(self, value: int) -> Callable[[int], None]:
        return lambda slot: self.builder.PrependInt32Slot(slot, value, 0)

    def number(self, value: float) -> Callable[[int], None]:
        return lambda slot: self.builder.PrependFloat32Slot(slot, value, 0.0)

    def numbers(self, values: Sequence[float]) -> Callable[[int], None]:
        self.builder.StartVector(4, len(values), 4)
        for value in reversed(values):
            self.builder.PrependFloat32(value)
        return self.at(self.builder.EndVector())

    def integers(self, values: Sequence[int]) -> Callable[[int], None]:
        self.builder.StartVector(4, len(values), 4)
        for value in reversed(values):
            self.builder.PrependUint32(value)
        return self.at(self.builder.EndVector())

    def content(self, content: bytes) -> Callable[[int], None]:
        self.builder.StartVector(1, len(content), 16)  # aligned, for it is a flatbuffer itself
        self.builder.head -= len(content)
        self.builder.Bytes[self.builder.head : self.builder.head + len(content)] = content
        return self.at(self.builder.EndVector())

    def several(self, tables: Sequence[int]) -> Callable[[int], None]:
        self.builder.StartVector(4, len(tables), 4)
        for table in reversed(tables):
            self.builder.PrependUOffsetTRelative(table)
        return self.at(self.builder.EndVector())

    def table(self, *fields: Callable[[int], None] | None) -> int:
        self.builder.StartObject(len(fields))
        for slot, put in enumerate(fields):
            if put is not None:
                put(slot)
        return self.builder.EndObject()

    def finish(self, root: int, identifier: bytes) -> bytes:
        self.builder.Finish(root, identifier)
        return bytes(self.builder.Output())


def model_metadata(description: Description) -> bytes:
    """ModelMetadata for the ImageClassifier, ImageSegmenter or ObjectDetector, by the task and outputs of a file."""
    w = Writer()
    properties = w.table(w.byte(RGB))
    content = w.table(w.byte(IMAGE), w.at(properties))
    # our own normalisation is in the graph, which takes values from 0 to 255
    options = w.table(w.numbers([0.0]), w.numbers([1.0]))
    unit = w.table(w.byte(NORMALISATION), w.at(options))
    given = w.table(w.text("image"), None, None, w.at(content), w.several([unit]))
    outputs, custom = _OUTPUTS[description.task](w, description)
    graph = w.table(None, None, w.several([given]), w.several(outputs), None, None, None, None, None, w.several(custom))
    spec = description.spec
    root = w.table(
        w.text(f"{spec['table']['name']} with {spec['head']}"),
        w.text(f"{description.task}, exported by MobileDense"),
        w.text(description.made_by.get("mobiledense", "")),
        w.several([graph]),
        None,
        w.text(description.license or ""),
        None,
        w.text(PARSER),
    )
    return w.finish(root, b"M001")


def _labels(w: Writer, kind: int) -> Callable[[int], None]:
    return w.several([w.table(w.text(LABELS), None, w.byte(kind))])


def _feature(w: Writer, dimension: int | None = None) -> Callable[[int], None]:
    ends = None if dimension is None else w.at(w.table(w.integer(dimension), w.integer(dimension)))
    return w.at(w.table(w.byte(FEATURE), w.at(w.table()), ends))


def _classifier(w: Writer, description: Description) -> tuple[list[int], list[int]]:
    return [w.table(w.text("probability"), None, None, _feature(w), None, None, _labels(w, AXIS_LABELS))], []


def _segmenter(w: Writer, description: Description) -> tuple[list[int], list[int]]:
    tensor = w.table(w.text("logits"), None, None, _feature(w), None, None, _labels(w, AXIS_LABELS))
    own = Writer()
    options = own.finish(own.table(own.byte(SOFTMAX), own.text("1.0.0")), b"V001")
    return [tensor], [w.table(w.text("SEGMENTER_METADATA"), w.content(options))]


def _detector(w: Writer, description: Description) -> tuple[list[int], list[int]]:
    if description.output_kind == "mediapipe-raw":
        return _raw_detector(w, description)
    order = w.integers([1, 0, 3, 2])  # our ymin, xmin, ymax, xmax as left, top, right, bottom
    boxes = w.table(order, w.byte(BOUNDARIES), w.byte(RATIO))
    ends = w.table(w.integer(2), w.integer(2))
    content = w.table(w.byte(BOXES), w.at(boxes), w.at(ends))
    return [
        w.table(w.text("location"), None, None, w.at(content)),
        w.table(w.text("category"), None, None, _feature(w, 2), None, None, _labels(w, VALUE_LABELS)),
        w.table(w.text("score"), None, None, _feature(w, 2)),
        w.table(w.text("number of detections"), None, None, _feature(w)),
    ], []


def _raw_detector(w: Writer, description: Description) -> tuple[list[int], list[int]]:
    anchors: Any = description.anchors
    location = w.table(w.text("location"), None, None, _feature(w))
    score = w.table(w.text("score"), None, None, _feature(w), None, None, _labels(w, AXIS_LABELS))
    own = Writer()
    fixed = own.table(own.several([own.table(*map(own.number, anchor)) for anchor in anchors]))
    decoding = own.table(
        own.integer(len(description.spec["names"])),
        own.integer(len(anchors)),
        own.integer(4),
        *(own.integer(0),) * 3,
        *map(own.number, CODING),
        own.byte(1),  # the sides are logarithms
        own.byte(0),  # scores are probabilities already
    )
    options = own.table(own.text("1.0.0"), own.at(own.table(own.at(fixed))), own.at(decoding))
    return [location, score], [w.table(w.text("DETECTOR_METADATA"), w.content(own.finish(options, b"V001")))]


_OUTPUTS = {"classification": _classifier, "segmentation": _segmenter, "detection": _detector}
