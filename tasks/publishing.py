"""Tasks on the Hugging Face hub: weights, what they are of, a card, and files exported from them."""

import shutil
from collections.abc import Iterable, Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch

from backbones.hub import CONFIG_FILE, HUB, WEIGHTS_FILE
from backbones.uploading import require_repository, upload
from tasks.checkpoints import write_safetensors
from tasks.errors import TaskError
from tasks.licenses import License
from tasks.model_card import write_card
from tasks.published_scores import require_scores
from tasks.writing import whole, write_json

CARD_FILE = "README.md"
OWN = (WEIGHTS_FILE, CONFIG_FILE, CARD_FILE)


class Published:
    """What every task has to go to the hub and come from it, named as segmentation-models-pytorch has it.

    Attributes:
        license: of the weights, if it was told; it goes into exported files too.
        scores: likewise, as "DATA/SPLIT/METRIC".
    """

    license: License | None = None
    scores: Mapping[str, float] = {}

    def save_pretrained(
        self: Any,
        folder: str | Path,
        repository: str | None = None,
        license: License | str | None = None,
        scores: Mapping[str, float] | None = None,
        files: Iterable[str | Path] = (),
    ) -> list[Path]:
        """Write what goes to the hub: model.safetensors, config.json, README.md and copies of some files.

        model.safetensors alone is a checkpoint of the task. config.json says the same without the weights: the hub
        counts downloads by it.

        Args:
            folder: to write into.
            repository: "OWNER/NAME", for the card; by default the folder's name.
            license: of the data, and so of the weights: an identifier of the hub's, or a `License`; by default that of
                the repository that the task came from.
            scores: "DATA/SPLIT/METRIC" -> value; likewise.
            files: exported from the task.

        Returns:
            The files.

        Raises:
            TaskError: if a file is missing or cannot be written, or a value cannot be what it is.
        """
        folder = Path(folder)
        terms = License(license) if isinstance(license, str) else license or self.license
        scores = require_scores(self.scores if scores is None else scores)
        extra = [Path(path) for path in files]
        _require_files(extra)
        _require_unfolded(self)
        told = {"license": terms.to_dict() if terms else None, "scores": scores}
        description = self.describe() | {key: value for key, value in told.items() if value}
        card = write_card(self, repository or folder.resolve().name, terms, scores, extra)
        write_safetensors(self.state_dict(), description, folder / WEIGHTS_FILE)
        write_json(folder / CONFIG_FILE, description)
        with whole(folder / CARD_FILE) as unfinished:
            unfinished.write_text(card, encoding="utf-8")
        for path in extra:
            with whole(folder / path.name) as unfinished:
                shutil.copyfile(path, unfinished)
        return [folder / name for name in (*OWN, *(path.name for path in extra))]

    def push_to_hub(
        self: Any,
        repository: str,
        private: bool = False,
        license: License | str | None = None,
        scores: Mapping[str, float] | None = None,
        files: Iterable[str | Path] = (),
    ) -> str:
        """Put the task on the hub, in one commit, under the token that `hf auth login` stored.

        Args:
            repository: "OWNER/NAME"; it is made if it is not there.
            private: whether it is to be private, which one that is there must be already.
            license: see `save_pretrained`.
            scores: likewise.
            files: likewise.

        Returns:
            The address, hf://OWNER/NAME, which every tool and `from_pretrained` take.

        Raises:
            TaskError: see `save_pretrained`.
            BackboneError: for a name that no repository can have.
            ConnectionError: if nobody is logged in, or the hub refuses or cannot be reached.
        """
        require_repository(repository)
        with TemporaryDirectory() as folder:
            self.save_pretrained(folder, repository, license, scores, files)
            return upload(Path(folder), repository, private, f"{type(self).__name__} of MobileDense")

    @classmethod
    def from_pretrained(cls: Any, source: str | Path, revision: str | None = None, device: str = "auto") -> Any:
        """A task from the hub, or from a folder that `save_pretrained` wrote, ready to predict.

        Args:
            source: "OWNER/NAME", hf://OWNER/NAME, or a folder.
            revision: a branch, tag or commit; by default the newest.
            device: "cpu", "cuda", or "auto" for the latter where there is one.

        Raises:
            CheckpointError: if there is no task of this kind in it, or it is damaged.
            BackboneError: for a name that no repository can have.
            FileNotFoundError: if the hub has no such repository or revision.
            ConnectionError: if the download fails.
        """
        if Path(source).is_dir():
            if revision is not None:
                raise TaskError(f"{source}: is a folder, which has no revision {revision}")
            return cls.load(Path(source) / WEIGHTS_FILE, device)
        address = HUB + str(source).removeprefix(HUB)
        return cls.load(f"{address}@{revision}" if revision else address, device)


def _require_files(files: list[Path]) -> None:
    taken = {name.lower() for name in OWN}
    for path in files:
        if not path.is_file():
            raise TaskError(f"--files {path}: no such file")
        if path.name.lower() in taken:
            raise TaskError(f"--files {path}: there is another file {path.name}; rename it")
        taken.add(path.name.lower())


def _require_unfolded(task: Any) -> None:
    """Refuse a network that `fold` changed, whose weights no checkpoint can have."""
    with torch.device("meta"):
        whole_one = type(task)(task.spec).state_dict()
    if whole_one.keys() != task.state_dict().keys():
        raise TaskError("this task was folded for prediction; load it anew, and push or save that")


def described_terms(description: dict[str, Any]) -> tuple[License | None, dict[str, float]]:
    """The license and the scores that a file of ours says of its network.

    Raises:
        TaskError: for entries that are none.
    """
    return License.from_dict(description.get("license")), require_scores(description.get("scores", {}))
