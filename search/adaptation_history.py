"""The folder of a NetAdapt search: its history, a checkpoint for each iteration, and proposals of the one going on."""

import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from search.search_errors import SearchError
from tasks.base import Task
from tasks.checkpoints import AtomicCheckpointIO, read_checkpoint
from tasks.lock import Locked, locked
from tasks.resume import changed_options
from tasks.wings import load_task
from tasks.writing import whole, write_json

# options that say where, how fast and how far; what the files hold is compared by hash
FREE = {"workers", "output", "name", "data_root", "check_data", "cache", "target"}
FREE |= {"checkpoint", "latency", "config", "beside"}
SETTINGS = {"config", "checkpoint", "images", "latency table", "unit", "measure"}  # which a history has
RECORD = "netadapt"  # entry of a checkpoint


class History:
    """What a search has done, in a folder: whoever kills it at any moment loses one short training at most.

    `history.json` names the iterations that are complete. The proposals of the next one are checkpoints in
    `proposals/`, each written once it is trained and judged, which go once the iteration stands in the history.

    Args:
        folder: of the search.
    """

    def __init__(self, folder: Path) -> None:
        self.folder, self.file, self.proposals = folder, folder / "history.json", folder / "proposals"
        self.begun: dict[str, Any] = {}

    @property
    def iterations(self) -> list[dict[str, Any]]:
        """Those that are complete; the first is the given network."""
        return self.begun["iterations"]

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Hold the folder.

        Raises:
            SearchError: if another process works in it.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        try:
            with locked(self.folder / ".lock"):
                yield
        except Locked:
            raise SearchError(f"{self.folder}: another process works in it; name another --name") from None

    def read(self) -> bool:
        """Read the history; whether there is one.

        Raises:
            SearchError: if it is damaged.
        """
        if not self.file.exists():
            return False
        try:
            self.begun = json.loads(self.file.read_text(encoding="ascii"))
            assert self.iterations[0]["number"] == 0 and self.begun.keys() >= SETTINGS
        except (ValueError, KeyError, IndexError, TypeError, AssertionError):
            raise SearchError(f"{self.file}: is no history of a search; replace it with --overwrite") from None
        return True

    def clear(self) -> None:
        """Remove what a search leaves."""
        self.file.unlink(missing_ok=True)
        shutil.rmtree(self.proposals, ignore_errors=True)
        for path in self.folder.glob("iteration_*.ckpt"):
            path.unlink()

    def require_same(self, settings: dict[str, Any]) -> None:
        """Refuse to go on under settings that give another history.

        Args:
            settings: the options as YAML under "config", and what else must be as it was.

        Raises:
            SearchError: naming what differs.
        """
        changed = changed_options(self.begun["config"], settings["config"])
        said = [
            f"--{name.replace('_', '-')} {now} (was {was})"
            for name, (was, now) in changed.items()
            if name.partition(".")[0] not in FREE
        ]
        others = [name for name in settings if name != "config" and self.begun[name] != settings[name]]
        said = said or [f"the {name} is not what it was" for name in others]
        if said:
            raise SearchError(
                f"{self.folder}: cannot go on with other options than it began with: {', '.join(said)}; give those it "
                f"began with, or name another --name"
            )

    def checkpoint(self, number: int) -> Path:
        """That of an iteration."""
        return self.folder / f"iteration_{number:02d}.ckpt"

    def load(self, number: int) -> Any:
        """The network of an iteration, on the CPU."""
        return load_task(self.checkpoint(number), "cpu")

    def trained(self, number: int) -> dict[str | None, dict[str, Any]]:
        """Records of the proposals of an iteration that are there already, by the width they cut."""
        records = [read_checkpoint(path)[RECORD] for path in sorted(self.proposals.glob("proposal_*.ckpt"))]
        return {record["width"]: record for record in records if record["iteration"] == number}

    def keep(self, task: Task, record: dict[str, Any]) -> None:
        """Write a proposal that was trained."""
        save(task, self._proposal(record), record)

    def complete(self, entry: dict[str, Any], chosen: dict[str, Any] | None = None) -> None:
        """Add an iteration, whose network is that of the chosen proposal, or is there."""
        if chosen is not None:
            with whole(self.checkpoint(entry["number"])) as unfinished:
                shutil.copyfile(self._proposal(chosen), unfinished)
        self.iterations.append(entry)
        write_json(self.file, self.begun)
        shutil.rmtree(self.proposals, ignore_errors=True)

    def _proposal(self, record: dict[str, Any]) -> Path:
        return self.proposals / f"proposal_{record['iteration']:02d}_{record['width'] or 'uncut'}.ckpt"


def save(task: Task, path: Path, record: dict[str, Any]) -> None:
    """Write a network as a checkpoint like any other, whole or not at all, with a record beside it.

    Raises:
        NonFiniteLoss: if its weights are infinite or not a number.
        CheckpointError: if it cannot be written.
    """
    state = {key: tensor.cpu() for key, tensor in task.state_dict().items()}
    content = {"state_dict": state, "mobiledense": task.describe(), RECORD: record}
    AtomicCheckpointIO().save_checkpoint(content, path)
