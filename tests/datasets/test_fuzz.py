"""Some 460 mutated files of fourteen formats: each is read as what it says, noted, or refused by name."""

import pytest

from datasets.faults import DataError
from tests.fuzz.configs import plain
from tests.fuzz.engine import BAD, Case, Reading, fuzz, judge, table
from tests.fuzz.formats import FORMATS


@pytest.mark.parametrize("name", FORMATS)
def test_mutations_are_handled(name):
    counts, failures = fuzz({name: FORMATS[name]}, 33, seed=0)
    assert not failures, failures[:5]
    assert sum(counts.values()) == 33 and not any(outcome in BAD for _, outcome in counts)


# the engine itself


def case(ours, theirs=lambda: Reading([1], []), **options) -> str:
    return judge(Case("m", ["a.xml"], ours, theirs, **options))[0]


def fails(error):
    def read():
        raise error

    return read


def test_outcomes():
    def sound():
        return Reading([1], [])

    assert case(sound) == "right sample" and case(lambda: Reading([1], ["a box dropped"])) == "note"
    assert case(sound, lambda: Reading([2], [])) == case(sound, lambda: Reading([1.0], [])) == "wrong sample"
    assert case(sound, fails(ValueError())) == case(sound, lambda: Reading([1], ["a box is gone"])) == "wrong sample"
    assert case(fails(DataError("a.xml: is torn"))) == "error"
    assert case(fails(DataError("a.xml: is torn")), harmless=True) == "sound file refused"
    assert case(fails(DataError("is torn"))) == "error names no file"
    assert case(fails(KeyError("x"))) == case(fails(SystemExit(1))) == "traceback"


def test_a_hang_is_cut_off(monkeypatch):
    monkeypatch.setattr("tests.fuzz.engine.SECONDS", 1)

    def hang():
        while True:
            try:
                while True:
                    pass
            except Exception:
                continue

    assert case(hang) == "hang"


def test_the_table_adds_up():
    counts, _ = fuzz({"labels.txt": FORMATS["labels.txt"]}, 6, seed=3)
    again, _ = fuzz({"labels.txt": FORMATS["labels.txt"]}, 6, seed=3)
    assert counts == again and table(counts, ["labels.txt"]).splitlines()[-1].split()[0] == "all"
    assert sum(map(int, table(counts, ["labels.txt"]).splitlines()[-1].split()[1:])) == 6


def test_the_reader_of_configs_knows_numbers_in_quotes():
    assert [plain(*pair) for pair in ((16, "0x10"), (1e5, "1e5"), (None, "~"), (3, "4"))] == ["0x10", "1e5", "~", 3]
