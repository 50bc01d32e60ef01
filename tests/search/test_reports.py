import pytest

from backbones import create_table
from search.adaptation_page import adaptation_page
from search.report_page import rows_beside
from search.space import Space


def trial(number, accuracy, price):
    return {"number": number, "choices": {}, "accuracy": accuracy, "price": price, "reward": accuracy}


def test_the_pareto_front():
    pytest.importorskip("optuna")
    from search.report import pareto

    trials = [
        trial(*given) for given in [(0, 0.5, 5), (1, 0.4, 4), (2, 0.45, 4), (3, 0.4, 6), (4, 0.7, 9), (5, 0.5, 7)]
    ]
    assert [one["number"] for one in pareto(trials)] == [2, 0, 4]


def test_rows_stand_beside_those_of_their_resolution():
    space = Space(create_table("v3-small"))
    choices = space.paper | {"stage1.layers": 1, "stage3.width": 0.75}
    lines = rows_beside(space.base, space.table(choices)).split("<tr>")[2:]
    assert len(lines) == 1 + len(space.base.rows) + 1 + 1  # stem, one row more than V3 has, last
    assert sum("stride 8" in line for line in lines) == 1
    added = lines[4]
    assert "<td></td><td></td><td></td><td><b>24</b></td>" in added and "expanded 88" in added
    assert lines[1].count("<b>") == 0  # the first row is as it was


def test_what_each_iteration_cut():
    widths = {"bottleneck24": 24, "block2.expansion": 72}
    proposals = [
        {"width": None, "channels": None, "price": 10.0, "accuracy": 0.61},
        {"width": "bottleneck24", "channels": 16, "price": 8.0, "accuracy": 0.58},
        {"width": "block2.expansion", "channels": 64, "price": 9.0, "accuracy": 0.6},
    ]
    cut = {"number": 1, "width": "bottleneck24", "widths": widths | {"bottleneck24": 16}, "price": 8.0}
    iterations = [
        {"number": 0, "width": None, "widths": widths, "price": 10.0, "accuracy": 0.6, "proposals": []},
        cut | {"accuracy": 0.58, "proposals": proposals},
    ]
    page = adaptation_page("<netadapt>", {"unit": "ms", "measure": "top-1", "iterations": iterations}, b"PNG")
    assert "&lt;netadapt&gt;" in page and page.count("data:image/png") == 1
    assert "1 iterations: 10 to 8 ms (80.0%), top-1 60.00 to 58.00 %" in page
    assert "<td>24 to 16</td><td>8</td><td>80.0</td><td>58.00</td>" in page
    assert "<b>bottleneck24</b>" in page and "<b>16</b>" in page and "uncut, trained as long" in page
