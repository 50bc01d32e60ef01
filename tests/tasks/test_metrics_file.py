import csv

import pytest

from tasks.metrics_file import MetricsFile


def rows(path) -> list[dict[str, str]]:
    with path.open() as file:
        return list(csv.DictReader(file))


def fill(table: MetricsFile, steps: range) -> None:
    for step in steps:
        table.log_metrics({"lr": 0.1 * step}, step)
        table.log_metrics({"loss": 1.0 / (step + 1), "epoch": step // 2}, step)
        if step % 2:
            table.log_metrics({f"score{step // 4}": step, "epoch": step // 2}, step)


@pytest.fixture
def table(tmp_path):
    table = MetricsFile(tmp_path / "metrics.csv")
    fill(table, range(4))
    return table


def test_a_step_is_one_row_and_new_columns_come_behind(table):
    table.finalize("success")
    found = rows(table.path)
    assert [row["step"] for row in found] == ["0", "1", "2", "3"]
    assert list(found[0]) == ["step", "epoch", "lr", "loss", "score0"]
    assert [row["score0"] for row in found] == ["", "1", "", "3"]


@pytest.mark.parametrize("more", [0, 1, 5])
def test_a_resumed_table_ends_as_an_unbroken_one(table, more, tmp_path):
    state = table.state_dict()
    fill(table, range(4, 4 + more))  # after the checkpoint, and lost with the process
    if more:
        with table.path.open("a") as file:
            file.write("4,2,0.")  # a line that a killed process did not finish
    again, unbroken = MetricsFile(table.path), MetricsFile(tmp_path / "unbroken.csv")
    again.load_state_dict(state)
    fill(again, range(4, 8))
    fill(unbroken, range(8))
    again.finalize("success")
    unbroken.finalize("success")
    assert again.path.read_bytes() == unbroken.path.read_bytes()
    assert len(rows(again.path)) == 8


def test_a_table_that_is_gone_begins_anew(table):
    state = table.state_dict()
    table.path.unlink()
    again = MetricsFile(table.path)
    again.load_state_dict(state)
    again.log_metrics({"loss": 1.0}, 9)
    again.finalize("success")
    assert [row["step"] for row in rows(table.path)] == ["3", "9"]
