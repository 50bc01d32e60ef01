"""Many images: which ones a source means, what is written for each, and shards that are whole."""

import json
import os

import numpy as np
import pytest

from datasets import DataError, read_image
from deploy import load
from tasks.errors import TaskError
from tests.conftest import ROOT

pytest.importorskip("pyarrow")

from deploy.rows import predict_rows
from deploy.shards import Shards, find_images


@pytest.fixture
def photos(shapes, tmp_path):
    """Three images, and what is none."""
    images = sorted((shapes / "JPEGImages").iterdir())
    for name in ("b c%20.jpg", "für/a.JPG", "z.jpg", ".hidden/a.jpg", ".a.jpg", "notes.md"):
        (tmp_path / "photos" / name).parent.mkdir(parents=True, exist_ok=True)
        os.link(images[0], tmp_path / "photos" / name)
    return tmp_path / "photos"


def test_images_of_a_folder_and_of_a_list(photos, monkeypatch):
    expected = [str(photos / name) for name in ("b c%20.jpg", "für/a.JPG", "z.jpg")]
    assert find_images(str(photos)) == find_images(f"file://{photos}/") == expected
    monkeypatch.chdir(photos)
    assert find_images(".") == expected
    (photos / "list.txt").write_text("\ufeffz.jpg\n\ns3://bucket/a b.jpg\r\n./z.jpg\nfür/a.JPG\n")
    assert find_images("list.txt") == [expected[2], "s3://bucket/a b.jpg", expected[1]]


def test_sources_without_images_are_one_line(photos):
    (photos / "latin.txt").write_bytes(b"\xe9.jpg\n")
    (photos / "empty").mkdir()
    wrong = {"nowhere": "no such folder", "z.jpg": "no such list", "latin.txt": "cannot be read", "empty": "no images"}
    for name, said in wrong.items():
        with pytest.raises(DataError, match=said) as raised:
            find_images(str(photos / name))
        assert str(photos / name) in str(raised.value) and "\n" not in str(raised.value)
    with pytest.raises(DataError, match="cannot be read"):
        find_images("nonsense://bucket/photos")
    (photos / os.fsdecode(b"\xe9.jpg")).touch()
    with pytest.raises(DataError, match="cannot be read"):
        find_images(str(photos))


@pytest.mark.parametrize("kind", ["checkpoint", "detector", "joint", "classifier"])
def test_rows_have_what_the_network_sees(kind, photos, request):
    from pycocotools import mask as coco_mask

    predictor = load(request.getfixturevalue(kind), "cpu")
    (photos / "broken.jpg").write_bytes(b"no image")
    names = [str(photos / name) for name in ("broken.jpg", "gone.jpg", "z.jpg")]
    rows, unread = predict_rows(predictor, names, 0.0001)
    assert unread == [] and [row["file"] for row in rows] == names
    assert "not an image" in rows[0]["fault"] and "no such file" in rows[1]["fault"]
    image = read_image(photos / "z.jpg")
    assert (rows[2]["height"], rows[2]["width"]) == image.shape[:2]
    result, spec = json.loads(rows[2]["result"]), predictor.spec
    assert (
        result.keys()
        == {
            "checkpoint": {"masks"},
            "detector": {"objects"},
            "joint": {"masks", "objects"},
            "classifier": {"classes"},
        }[kind]
    )
    found = predictor.predict([image], **({"score_threshold": 0.0001} if "objects" in result else {}))[0]
    if "masks" in result:
        mask = np.full(image.shape[:2], 255)
        for name, encoded in result["masks"].items():
            mask[coco_mask.decode(encoded) == 1] = spec.names.index(name)
        assert (mask == (found.mask if kind == "joint" else found)).all()
    if "objects" in result:
        boxes = found.boxes if kind == "joint" else found
        assert len(boxes.scores) > 0
        assert np.allclose([one["box"] for one in result["objects"]], boxes.boxes, atol=0.051)
        assert np.allclose([one["score"] for one in result["objects"]], boxes.scores, atol=0.00006)
    if "classes" in result:
        best = spec.names[found.argmax()]
        assert next(iter(result["classes"])) == best
        assert result["classes"][best] == pytest.approx(found.max(), abs=0.00006)


def test_what_cannot_be_read_this_time_gets_no_row(photos, checkpoint):
    rows, unread = predict_rows(load(checkpoint, "cpu"), [str(photos / "für"), str(photos / "z.jpg")], 0.3)
    assert [row["file"] for row in rows] == [str(photos / "z.jpg")]
    assert len(unread) == 1 and unread[0].startswith(str(photos / "für"))


def test_shards_are_whole_and_of_one_network(tmp_path, monkeypatch):
    shards = Shards(str(tmp_path / "results"), {"sha256": ["a"], "score_threshold": 0.3})
    names = [f"/photos/{number}.jpg" for number in range(3)]
    with shards.alone():
        assert shards.finished() == set() and shards.held(names) == 0
        for _ in range(2):  # whoever writes it again replaces it
            shards.write(names, [{"file": name} for name in names[:2]])
        shards.write(names[2:], [{"file": names[2], "fault": "no such file"}])
        assert shards.held(names) == 2 and shards.finished() == {*names}
    assert len([*(tmp_path / "results").glob("*.parquet")]) == 2
    with monkeypatch.context() as patch, pytest.raises(OSError, match="full"):
        patch.setattr("deploy.shards.pq.write_table", lambda *_, **__: (_ for _ in ()).throw(OSError("full")))
        shards.write(["x"], [{"file": "x"}])
    assert shards.finished() == {*names}
    with pytest.raises(TaskError, match=r"\.parquet: is of another checkpoint or of other options"):
        Shards(shards.folder, {"sha256": ["b"], "score_threshold": 0.3}).finished()
    (tmp_path / "results" / "half.parquet").write_bytes(b"PAR1")
    with pytest.raises(TaskError, match=r"half.parquet: cannot be read"):
        shards.finished()


def test_a_second_job_is_refused(tmp_path):
    import subprocess
    import sys

    code = "import sys, tasks; from deploy.shards import Shards\nwith Shards(sys.argv[1], {}).alone(): pass"
    second = [sys.executable, "-c", code, str(tmp_path)]
    with Shards(str(tmp_path), {}).alone():
        done = subprocess.run(second, cwd=ROOT, capture_output=True, text=True)
    assert "another job writes there" in done.stderr
    assert subprocess.run(second, cwd=ROOT).returncode == 0
    (tmp_path / "file").touch()
    with pytest.raises(TaskError, match="cannot be made"), Shards(str(tmp_path / "file"), {}).alone():
        pass
