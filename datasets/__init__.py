"""Data: files on disk to samples, augmentation, batches, and checks. Imports no other folder of ours."""

from datasets.classification.augment import CentreCrop, ClassificationAugmentation
from datasets.classification.checks import check_classification, tell_difference
from datasets.classification.dataset import (
    CLASSIFICATION_DATASETS,
    ClassificationDataset,
    evaluation_samples,
    find_classification,
    training_samples,
)
from datasets.classification.files import ClassificationFiles, limit_classification
from datasets.detection.augment import Augmented, DetectionAugmentation, Resize, resize_image
from datasets.detection.checks import DetectionSummary, check_detection, check_detection_splits
from datasets.detection.dataset import (
    DETECTION_DATASETS,
    DetectionDataset,
    DetectionTransform,
    find_detection,
    limit_detection,
)
from datasets.detection.files import DetectionFiles, Objects
from datasets.detection.inspection import InspectedDetection
from datasets.files import IMAGE_SUFFIXES, DataError, default_colours, read_image, read_labels, read_mask, write_mask
from datasets.inspected_splits import choose_task, find_splits, serves
from datasets.inspection import KEPT, Finding, Findings, Inspected, Kind, Sample, inspect_splits
from datasets.loading import Samples, check_batch, check_shared_memory, collate_detection, eval_loader, train_loader
from datasets.ranges import BATCH, COUNT, DRAWN, SIDE, WORKERS, check_options
from datasets.segmentation.augment import Augmentation
from datasets.segmentation.checks import SegmentationSummary, check_segmentation, check_splits
from datasets.segmentation.dataset import DATASETS, SegmentationDataset, SegmentationFiles, find_segmentation, limit
from datasets.segmentation.inspection import InspectedSegmentation
from datasets.shapes import write_shapes

__all__ = [
    "BATCH",
    "CLASSIFICATION_DATASETS",
    "COUNT",
    "DATASETS",
    "DETECTION_DATASETS",
    "DRAWN",
    "IMAGE_SUFFIXES",
    "KEPT",
    "SIDE",
    "WORKERS",
    "Augmentation",
    "Augmented",
    "CentreCrop",
    "ClassificationAugmentation",
    "ClassificationDataset",
    "ClassificationFiles",
    "DataError",
    "DetectionAugmentation",
    "DetectionDataset",
    "DetectionFiles",
    "DetectionSummary",
    "DetectionTransform",
    "Finding",
    "Findings",
    "Inspected",
    "InspectedDetection",
    "InspectedSegmentation",
    "Kind",
    "Objects",
    "Resize",
    "Sample",
    "Samples",
    "SegmentationDataset",
    "SegmentationFiles",
    "SegmentationSummary",
    "check_batch",
    "check_classification",
    "check_detection",
    "check_detection_splits",
    "check_options",
    "check_segmentation",
    "check_shared_memory",
    "check_splits",
    "choose_task",
    "collate_detection",
    "default_colours",
    "eval_loader",
    "evaluation_samples",
    "find_classification",
    "find_detection",
    "find_segmentation",
    "find_splits",
    "inspect_splits",
    "limit",
    "limit_classification",
    "limit_detection",
    "read_image",
    "read_labels",
    "read_mask",
    "resize_image",
    "serves",
    "tell_difference",
    "train_loader",
    "training_samples",
    "write_mask",
    "write_shapes",
]
