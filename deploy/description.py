"""What an exported file says of itself: the network's spec, its outputs, and where it comes from."""

import json
from dataclasses import asdict, dataclass, field, fields
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from deploy.extras import DeployError
from deploy.seal import ZEROS

FORMAT = 1  # of the description
INPUTS = ("uint8", "float32")
LONGEST = 65536  # side of an image, in pixels
PACKAGES = ("mobiledense", "torch", "onnx", "onnxruntime", "openvino", "nncf", "executorch", "litert-torch")


@dataclass(frozen=True)
class Description:
    """All that is needed to use an exported file; it travels inside the file, or beside it as json.

    Attributes:
        task: "classification", "segmentation", "detection" or "joint".
        spec: of the network, as `Spec.to_dict` has it.
        output_kind: what comes out, see `deploy.graph.OUTPUTS`.
        outputs: names of the outputs, in their order.
        size: height and width of the image that goes in.
        input: "uint8" or "float32"; values are 0 to 255 either way, RGB, [1, height, width, 3].
        precision: "float32", "float16" or "int8", of the weights, and for int8 of what is computed.
        checkpoint: SHA-256 of the checkpoint.
        made_by: versions of the packages that took part.
        thresholds: of non-maximum suppression, where it is inside: score, iou, max_detections.
        anchors: float [A, 4], where decoding the outputs needs them.
        target: "mediapipe" for a .tflite with the metadata that MediaPipe Tasks needs.
        license: of the data that the network was trained on, if it was told.
        scores: of the network on a split, if they were told.
        sha256: of the file itself, see `deploy.seal`.
    """

    task: str
    spec: dict[str, Any]
    output_kind: str
    outputs: list[str]
    size: tuple[int, int]
    input: str
    precision: str
    checkpoint: str
    made_by: dict[str, str]
    thresholds: dict[str, float] = field(default_factory=dict)
    anchors: list[list[float]] | None = None
    target: str | None = None
    license: str | None = None
    scores: dict[str, float] = field(default_factory=dict)
    sha256: str = ZEROS
    format: int = FORMAT

    def to_json(self) -> str:
        """As text."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str, where: str) -> "Description":
        """The inverse of `to_json`; entries of later releases are left out.

        Raises:
            DeployError: naming `where`, if the text is none of ours, or of a later format.
        """
        try:
            data = json.loads(text)
            version = data.get("format", 0)
            known = {item.name for item in fields(cls)}
            found = cls(**{name: value for name, value in data.items() if name in known})
            height, width = map(int, found.size)
            if (
                not isinstance(found.task, str)
                or found.input not in INPUTS
                or not 0 < min(height, width) <= max(height, width) <= LONGEST
            ):
                raise ValueError(f"task {found.task}, input {found.input}, size {height} {width}")
        except (AttributeError, TypeError, ValueError) as error:
            raise DeployError(f"{where}: its description cannot be read ({error}); export it again") from None
        if not isinstance(version, int) or version > FORMAT:
            raise DeployError(f"{where}: is of format {version}, and this release reads up to {FORMAT}; update it")
        return cls(**asdict(found) | {"size": (height, width)})


def package_versions() -> dict[str, str]:
    """Of those that take part in exporting, as far as they are installed."""
    found = {}
    for name in PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found
