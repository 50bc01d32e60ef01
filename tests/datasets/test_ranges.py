import pytest

from datasets import (
    ClassificationAugmentation,
    DataError,
    DetectionAugmentation,
    SegmentationAugmentation,
    check_options,
)
from datasets.classification.files import ClassificationFiles
from datasets.classification.find import limit_classification


@pytest.mark.parametrize("value", [0, 1, 0.5, None, [0, 1], (0.2,)])
def test_what_is_in_range(value):
    check_options(colour=(value, 0, 1))


@pytest.mark.parametrize("value", [-1, 1.01, float("nan"), float("inf"), [0.5, 2], [], 10**400])
def test_what_is_not(value):
    with pytest.raises(DataError, match=r"^--max-images .* is not in 0 to 1$"):
        check_options(colour=(0.5, 0, 1), max_images=(value, 0, 1))


@pytest.mark.parametrize(
    "kind, values",
    [
        (SegmentationAugmentation, {"scale": (2.0, 1.0)}),
        (SegmentationAugmentation, {"scale": (0.0, 1.0)}),
        (SegmentationAugmentation, {"blur": 2.0}),
        (DetectionAugmentation, {"mosaic": -0.1}),
        (DetectionAugmentation, {"expand_ratio": 0.5}),
        (DetectionAugmentation, {"seed": -1}),
        (ClassificationAugmentation, {"mixup": float("inf")}),
        (ClassificationAugmentation, {"shift": -1}),
    ],
)
def test_augmentation_says_what_it_does_not_take(kind, values):
    (name,) = values
    with pytest.raises(DataError, match=f"^--{name.replace('_', '-')} "):
        kind(**values)


@pytest.mark.parametrize("most", [0, -3])
def test_no_images_are_no_part_of_a_split(most):
    files = ClassificationFiles(None, "train", ["a"], [], None)
    with pytest.raises(DataError, match=f"--max-images {most} is not in 1 to"):
        limit_classification(files, most)
