"""metrics.csv of a run: one row a step, kept over a resume."""

import csv
import io
from pathlib import Path
from typing import Any

from lightning.pytorch.loggers.logger import Logger
from lightning.pytorch.utilities import rank_zero_only

from tasks.writing import whole

FIRST = ["step", "epoch"]


class MetricsFile(Logger):
    """Writes what is logged as a table, a row a step, as soon as the next step begins.

    Lightning's own CSVLogger deletes the table when a run is resumed. This one goes on behind the row that the
    checkpoint was written at, so that later rows, which the resumed run writes again, are there once.

    Args:
        path: of the file; nothing is read or written before the first row.
    """

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.path = path
        self.columns: list[str] = []
        self.rows = 0
        self.pending: dict[str, float] = {}

    @property
    def name(self) -> str:
        return ""

    @property
    def version(self) -> str:
        return ""

    def log_hyperparams(self, *_: Any, **__: Any) -> None:
        """Nothing: config.yaml has them."""

    @rank_zero_only
    def log_metrics(self, metrics: dict[str, float], step: int | None = None) -> None:
        """Add values to the row of `step`."""
        row = {"step": step or 0, **metrics}
        if self.pending and row["step"] != self.pending["step"]:
            self._write_pending()
        self.pending |= row

    @rank_zero_only
    def finalize(self, status: str) -> None:
        """Write the row that waits for more."""
        self._write_pending()

    def state_dict(self) -> dict[str, Any]:
        """Where the table is now."""
        return {"rows": self.rows, "pending": dict(self.pending)}

    @rank_zero_only
    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Drop the rows behind that place; a file that is not there begins anew."""
        self.rows, self.pending = 0, dict(state["pending"])
        if self.path.is_file():
            lines = self.path.read_text(encoding="utf-8").splitlines()
            self.columns = next(csv.reader(lines[:1]), [])
            self._rewrite(lines[1 : 1 + state["rows"]])

    def _write_pending(self) -> None:
        if not self.pending:
            return
        new = [name for name in [*FIRST, *self.pending] if name not in self.columns]
        if new:
            # rows that are there end in a comma for every column that they do not have
            lines = self.path.read_text(encoding="utf-8").splitlines()[1:] if self.rows else []
            ending = "," * len(dict.fromkeys(new))
            self.columns += dict.fromkeys(new)
            self._rewrite([line + ending for line in lines])
        with self.path.open("a", encoding="utf-8") as file:
            file.write(_line([self.pending.get(name, "") for name in self.columns]))
        self.rows, self.pending = self.rows + 1, {}

    def _rewrite(self, lines: list[str]) -> None:
        self.rows = len(lines)
        with whole(self.path) as unfinished:
            unfinished.write_text(_line(self.columns) + "".join(line + "\n" for line in lines), encoding="utf-8")


def _line(values: list[Any]) -> str:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerow(values)
    return text.getvalue()
