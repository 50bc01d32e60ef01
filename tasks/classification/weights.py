"""Start weights for classification: a backbone's, and a classifier's where the file has one."""

from pathlib import Path

from backbones import load_weights
from backbones.pretrained import local_file
from backbones.weights_files import read_weights
from tasks.classification.task import ClassificationNetwork, ClassificationSpec
from tasks.head_weights import fill_head

PREFIX = "network.head."


def load_classification_weights(network: ClassificationNetwork, spec: ClassificationSpec, source: str | Path) -> str:
    """Fill a classifier, or its backbone alone, and say what was taken.

    Args:
        network: filled in place.
        spec: what the network was built from.
        source: "imagenet", or a file or "hf://OWNER/NAME": a classifier of ours, of which layers of the same shape are
            taken too, or any weights of the backbone.

    Returns:
        Text for the user. Classes of the same name keep their rows of the last layer; the others start anew.

    Raises:
        BackboneError: if nothing in the source fits, or the file cannot be read or holds values that are not finite.
        FileNotFoundError, ConnectionError: if there is no such file, or the download fails.
    """
    report = load_weights(network.backbone, source)
    state, description = ({}, {}) if source == "imagenet" else read_weights(local_file(source))
    if description.get("task") != "classification":
        return str(report)
    report.unused = [key for key in report.unused if not key.startswith(PREFIX)]
    theirs = {key.removeprefix(PREFIX): tensor for key, tensor in state.items() if key.startswith(PREFIX)}
    said = fill_head(network.head, spec.names, theirs, description.get("names", []), str(source))
    return f"{report}\nclassifier: {said}"
