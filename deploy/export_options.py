"""Options of tools that have to do with exported files; nothing here imports torch."""

from typing import Literal

Runtime = Literal["torch", "onnx", "openvino", "executorch", "litert", "mediapipe"]
FormatName = Literal["onnx", "openvino", "executorch", "litert"]
