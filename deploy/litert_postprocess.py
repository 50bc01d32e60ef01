"""TFLite_Detection_PostProcess behind a detector: non-maximum suppression that all of LiteRT's runtimes have."""

from typing import Any

import numpy as np

from heads.anchors import CODING

CUSTOM = 32  # BuiltinOperator
FLOAT32 = 0  # TensorType
NAME = "TFLite_Detection_PostProcess"
WHOLE_IMAGE = (0.5, 0.5, 1.0, 1.0)  # centre y, centre x, height, width


def append_postprocess(
    model: Any, schema: Any, flexbuffers: Any, classes: int, outputs: list[str], thresholds: dict[str, float]
) -> None:
    """Put the operator behind the two outputs of a model, in place.

    These are boxes [1, A, 4] as `deploy.mediapipe_outputs.whole_image_offsets` makes them, and scores [1, A, K]. The
    operator's are those that MediaPipe's ObjectDetector takes, all float32: boxes [1, n, 4] as ymin, xmin, ymax, xmax
    in shares of the image, classes [1, n], scores [1, n] and their number [1]. Boxes are suppressed within their class.

    Args:
        model: `ModelT` of the schema.
        schema: ai_edge_litert.schema_py_generated.
        flexbuffers: flatbuffers.flexbuffers.
        classes: how many there are, without background.
        outputs: names of the four outputs.
        thresholds: score, iou and max_detections.
    """
    graph, most = model.subgraphs[0], int(thresholds["max_detections"])
    anchors = np.full((graph.tensors[graph.outputs[0]].shape[1], 4), WHOLE_IMAGE, dtype=np.float32)

    def tensor(name: str, shape: list[int], content: bytes = b"") -> int:
        made, buffer = schema.TensorT(), schema.BufferT()
        made.name, made.shape, made.type = name, shape, FLOAT32
        if content:
            buffer.data, made.buffer = np.frombuffer(content, dtype=np.uint8), len(model.buffers)
            model.buffers.append(buffer)
        graph.tensors.append(made)
        return len(graph.tensors) - 1

    code, operator = schema.OperatorCodeT(), schema.OperatorT()
    code.builtinCode = code.deprecatedBuiltinCode = CUSTOM
    code.customCode, code.version = NAME, 1
    operator.opcodeIndex = len(model.operatorCodes)
    operator.inputs = [*graph.outputs, tensor("anchors", list(anchors.shape), anchors.tobytes())]
    shapes = [[1, most, 4], [1, most], [1, most], [1]]
    operator.outputs = [tensor(name, shape) for name, shape in zip(outputs, shapes, strict=True)]
    operator.customOptions = np.frombuffer(_options(flexbuffers, classes, thresholds), dtype=np.uint8)
    model.operatorCodes.append(code)
    graph.operators.append(operator)
    graph.outputs = operator.outputs


def _options(flexbuffers: Any, classes: int, thresholds: dict[str, float]) -> bytes:
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
        builder.Bool("use_regular_nms", True)  # which is the one within each class
        for name, number in zip(("x_scale", "y_scale", "w_scale", "h_scale"), CODING, strict=True):
            builder.Float(name, number)
        builder.Float("nms_score_threshold", thresholds["score"])
        builder.Float("nms_iou_threshold", thresholds["iou"])
    return bytes(builder.Finish())
