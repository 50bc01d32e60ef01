"""TFLite_Detection_PostProcess behind a detector: decoding and non-maximum suppression that LiteRT's runtimes have."""

from typing import Any

import numpy as np

from deploy.graph import DETECTIONS
from heads.anchors import CODING

CUSTOM = 32  # BuiltinOperator
FLOAT32 = 0  # TensorType
NAME = "TFLite_Detection_PostProcess"


def append_postprocess(model: Any, schema: Any, anchors: Any, classes: int, thresholds: dict[str, float]) -> None:
    """Put the operator behind the two outputs of a model, encoded boxes and probabilities.

    Its outputs are those of MediaPipe's ObjectDetector: boxes [1, n, 4] as ymin, xmin, ymax, xmax in shares of the
    image, classes [1, n], scores [1, n] and their number [1], all float32. Boxes are suppressed within their class.

    Args:
        model: `ModelT` of the schema, changed in place.
        schema: ai_edge_litert.schema_py_generated.
        anchors: float [A, 4], centre x, centre y, width, height in shares of the image.
        classes: how many there are, without background.
        thresholds: score, iou and max_detections.
    """
    graph = model.subgraphs[0]
    most = int(thresholds["max_detections"])
    rows = np.asarray(anchors, dtype=np.float32)[:, [1, 0, 3, 2]]

    def tensor(name: str, shape: list[int], data: bytes = b"") -> int:
        made, buffer = schema.TensorT(), schema.BufferT()
        buffer.data = np.frombuffer(data, dtype=np.uint8) if data else None
        made.name, made.shape, made.type, made.buffer = name, shape, FLOAT32, len(model.buffers)
        model.buffers.append(buffer)
        graph.tensors.append(made)
        return len(graph.tensors) - 1

    code = schema.OperatorCodeT()
    code.builtinCode = code.deprecatedBuiltinCode = CUSTOM
    code.customCode, code.version = NAME, 1
    model.operatorCodes.append(code)
    operator = schema.OperatorT()
    operator.opcodeIndex = len(model.operatorCodes) - 1
    operator.inputs = [*graph.outputs, tensor("anchors", list(rows.shape), rows.tobytes())]
    shapes = [[1, most, 4], [1, most], [1, most], [1]]
    operator.outputs = [tensor(name, shape) for name, shape in zip(DETECTIONS, shapes, strict=True)]
    operator.customOptions = np.frombuffer(_options(classes, thresholds), dtype=np.uint8)
    graph.operators.append(operator)
    graph.outputs = operator.outputs


def _options(classes: int, thresholds: dict[str, float]) -> bytes:
    from flatbuffers import flexbuffers

    most = int(thresholds["max_detections"])
    builder = flexbuffers.Builder()
    with builder.Map():
        for name, count in (
            ("max_detections", most),
            ("max_classes_per_detection", 1),
            ("detections_per_class", most),
            ("num_classes", classes),
        ):
            builder.Int(name, count)
        builder.Bool("use_regular_nms", True)
        scales = zip(("x_scale", "y_scale", "w_scale", "h_scale"), CODING, strict=True)
        for name, number in (
            ("nms_score_threshold", thresholds["score"]),
            ("nms_iou_threshold", thresholds["iou"]),
            *scales,
        ):
            builder.Float(name, number)
    return bytes(builder.Finish())
