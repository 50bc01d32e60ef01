"""Put a trained network on the Hugging Face hub: weights, labels, a card with scores and license, exported files.

python tools/push_to_hub.py --checkpoint best.ckpt --repo OWNER/NAME --scores eval_test/scores.json
python tools/push_to_hub.py --checkpoint best.ckpt --repo OWNER/NAME --license mit --files best.onnx best.tflite
python tools/push_to_hub.py --checkpoint best.ckpt --repo OWNER/NAME --folder DIR
"""

import sys
from pathlib import Path

sys.path[0] = str(Path(__file__).resolve().parents[1])

from tasks.errors import TaskError, require_checkpoint
from tasks.licenses import License
from tools.cli import command


def push_to_hub(
    checkpoint: Path,
    repo: str,
    license: str | None = None,
    license_name: str | None = None,
    license_link: str | None = None,
    scores: list[str] = [],  # noqa: B006 the parser reads the default and nobody changes it
    files: list[str] = [],  # noqa: B006
    private: bool = False,
    folder: Path | None = None,
) -> str:
    """Put a checkpoint on the hub, where every tool takes it as hf://OWNER/NAME.

    Log in first: hf auth login, with a token that may write, or HF_TOKEN in the environment.

    Args:
        checkpoint: written by training.
        repo: OWNER/NAME; it is made if it is not there.
        license: an identifier of the hub's, such as apache-2.0, cc-by-nc-4.0 or other. That of the data often binds the
            weights too: CamVid's is for no commercial use.
        license_name: of another one, such as camvid-non-commercial.
        license_link: to the text of another one.
        scores: scores.json of evaluations of this checkpoint, one for each split; they go into the card.
        files: exported from this checkpoint by tools/export.py; they go into the repository.
        private: make the repository private; one that is there must be so already.
        folder: write everything into this folder, and put nothing on the hub.
    """
    if license is None and (license_name or license_link):
        raise TaskError(f"{'--license-name' if license_name else '--license-link'} is for --license other")
    terms = None if license is None else License(license, license_name, license_link)
    require_checkpoint(checkpoint)
    from deploy.releasing import publish

    return publish(checkpoint, repo, terms, [*map(Path, scores)], [*map(Path, files)], private, folder)


if __name__ == "__main__":
    command(push_to_hub)
