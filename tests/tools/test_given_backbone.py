from tasks import ClassificationTask, SegmentationTask
from tests.conftest import quick_classification, quick_run


def test_a_classifier_goes_on_from_its_own_table_and_weights(tool_here, classifier, tmp_path):
    file = str(classifier)
    options = [*quick_classification(classifier.parents[1] / "tree", tmp_path), "--epochs", "1"]
    said = tool_here("train_cls", *options, "--backbone", file, "--weights", file)
    assert "0.0% left at random" not in said and "classifier: took 4 tensors; classes kept: cross, disc" in said
    run = f"folder_{classifier.parent.name}_best"
    there, given = (ClassificationTask.load(path) for path in (tmp_path / run / "best.ckpt", classifier))
    assert there.spec.table == given.spec.table


def test_its_table_serves_masks_at_their_own_stride(tool_here, classifier, shapes, tmp_path):
    options = [*quick_run(shapes, tmp_path), "--epochs", "1", "--name", "masks"]
    tool_here("train_seg", *options, "--backbone", str(classifier), "--rf2", "true")
    table = SegmentationTask.load(tmp_path / "masks" / "best.ckpt").spec.table
    rows = ClassificationTask.load(classifier).spec.table.rows
    assert (table.output_stride, table.small_images, table.rows[-1].out) == (16, False, rows[-1].out // 2)


def test_a_checkpoint_of_the_task_tells_its_head(tool_here, shapes, tmp_path):
    head = ["--head", "raspp", "--head-options.filters", "24", "--width", "0.35"]
    tool_here("train_seg", *quick_run(shapes, tmp_path), "--epochs", "1", "--name", "first", *head)
    file = str(tmp_path / "first" / "last.ckpt")
    tool_here("train_seg", *quick_run(shapes, tmp_path), "--epochs", "1", "--name", "second", "--backbone", file)
    first, second = (SegmentationTask.load(tmp_path / name / "best.ckpt").spec for name in ("first", "second"))
    assert second == first
