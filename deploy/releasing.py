"""A checkpoint on the Hugging Face hub together with the files that were exported from it."""

from collections.abc import Sequence
from pathlib import Path

from backbones.uploading import require_repository
from backbones.weights_download import sha256
from deploy.extras import DeployError
from deploy.runtimes import FORMATS, format_of, parts
from tasks.checkpoints import unchanged
from tasks.hub_checkpoints import local_checkpoint
from tasks.licenses import License
from tasks.published_scores import read_scores
from tasks.wings import load_task


def publish(
    checkpoint: Path,
    repository: str,
    license: License | None,
    scores: Sequence[Path],
    files: Sequence[Path],
    private: bool = False,
    folder: Path | None = None,
) -> str:
    """Put a checkpoint on the hub, or write what would be put there, and say where it is.

    Args:
        checkpoint: written by training, or on the hub.
        repository: "OWNER/NAME".
        license: of the weights, or None for that of the checkpoint, if it has one.
        scores: scores.json of its evaluations; without any, those of the checkpoint.
        files: exported from it.
        private: whether the repository is to be private, which one that is there must be already.
        folder: to write into, in place of the hub.

    Returns:
        hf://OWNER/NAME, or the folder.

    Raises:
        BackboneError, DeployError, TaskError, OSError: for whatever the user can mend, in one line.
    """
    require_repository(repository)
    file = local_checkpoint(checkpoint)
    with unchanged(file):
        task = load_task(file, "cpu")
        found = read_scores(scores, checkpoint, task.spec.names) or None
        made = require_made_from(files, file)
    if license is None and task.license is None:
        print("no --license is given: whoever finds the network will not know under which terms it may be used")
    if folder is not None:
        written = task.save_pretrained(folder, repository, license, found, made)
        print(f"wrote {', '.join(path.name for path in written)} to {folder}")
        return str(folder)
    address = str(task.push_to_hub(repository, private, license, found, made))
    print(f"{address} is there; every tool takes it as --checkpoint {address}")
    return address


def require_made_from(files: Sequence[Path], checkpoint: Path) -> list[Path]:
    """The files, each with the one that lies beside it, once they are known to be made from a checkpoint.

    Args:
        files: written by tools/export.py.
        checkpoint: which they must be of.

    Raises:
        DeployError: if one is missing, damaged, none of ours or of another checkpoint.
    """
    found = []
    for path in files:
        if not path.is_file():
            raise DeployError(f"--files {path}: no such file")
        format = format_of(path)
        if format is None:
            known = ", ".join(each.suffix for each in FORMATS.values())
            raise DeployError(f"--files {path}: exported files end in {known}; what lies beside them goes with them")
        made_from = format.read_description(path).checkpoint
        if made_from != sha256(checkpoint):
            raise DeployError(
                f"--files {path}: was exported from another checkpoint than {checkpoint} (from one with SHA-256 "
                f"{made_from[:12]}...); export it anew"
            )
        found += parts(path)
    return found
