"""mobiledense demo: what make demo does, for whoever has no make."""

import sys

import pytest

import mobiledense

EACH_EPOCH = ["--trainer.check_val_every_n_epoch", "1"]


@pytest.fixture
def asked(monkeypatch):
    """What the demo runs, without running it."""
    ran = []
    monkeypatch.setattr(sys, "argv", ["mobiledense", "demo"])
    monkeypatch.setattr(sys, "path", [*sys.path])
    monkeypatch.setattr(mobiledense, "run", lambda name, arguments: ran.append((name, [*arguments])))
    return ran


def test_demo_trains_predicts_and_evaluates(asked, monkeypatch, tmp_path, shapes, tool_here, capsys):
    """The very commands, on fewer images and for fewer steps."""
    mobiledense.main()
    said = capsys.readouterr().out
    assert said.strip().endswith("mobiledense train-seg --dataset folder --data-root DIR --weights imagenet")
    assert [name for name, _ in asked] == ["train-seg", "predict", "eval-seg"]
    quick = {
        "train-seg": ["--output", str(tmp_path), "--epochs", "1", "--max-images", "16", "--workers", "0", *EACH_EPOCH],
        "predict": [],
        "eval-seg": ["--workers", "0"],
    }
    for name, arguments in asked:
        here = [text.replace("runs/demo", f"{tmp_path}/demo").replace("data/shapes", str(shapes)) for text in arguments]
        data = [] if name == "predict" else ["--dataset", "voc", "--data-root", str(shapes)]
        tool_here(name.replace("-", "_"), *here, *data, *quick[name])
    assert (tmp_path / "demo" / "eval_test" / "scores.json").is_file()
    assert len(list((tmp_path / "demo" / "predictions").glob("test_000*_overlay.png"))) == 4


def test_the_first_failure_ends_the_demo(monkeypatch):
    ran = []

    def fail(name, arguments):
        ran.append(name)
        sys.exit("train-seg: disk full")

    monkeypatch.setattr(mobiledense, "run", fail)
    with pytest.raises(SystemExit, match="disk full"):
        mobiledense.demo()
    assert ran == ["train-seg"]


def test_demo_has_no_options(asked, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["mobiledense", "demo", "--epochs", "2"])
    with pytest.raises(SystemExit, match="demo has no options"):
        mobiledense.main()
    assert not asked
