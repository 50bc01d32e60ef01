"""Data: files on disk to samples, augmentation, batches, and checks. Imports no other folder of ours."""

from datasets.augment import Augmentation
from datasets.checks import SegmentationSummary, check_segmentation, check_splits
from datasets.detection import (
    DETECTION_DATASETS,
    DetectionDataset,
    DetectionTransform,
    find_detection,
    limit_detection,
)
from datasets.detection_augment import Augmented, DetectionAugmentation, Resize, resize_picture
from datasets.detection_checks import DetectionSummary, check_detection, check_detection_splits
from datasets.detection_files import DetectionFiles, Objects
from datasets.files import PICTURES, DataError, default_colours, read_image, read_labels, read_mask, write_mask
from datasets.loading import Samples, check_batch, collate_detection, eval_loader, train_loader
from datasets.segmentation import DATASETS, SegmentationDataset, SegmentationFiles, find_segmentation, limit
from datasets.shapes import write_shapes

__all__ = [
    "DATASETS",
    "DETECTION_DATASETS",
    "PICTURES",
    "Augmentation",
    "Augmented",
    "DataError",
    "DetectionAugmentation",
    "DetectionDataset",
    "DetectionFiles",
    "DetectionSummary",
    "DetectionTransform",
    "Objects",
    "Resize",
    "Samples",
    "SegmentationDataset",
    "SegmentationFiles",
    "SegmentationSummary",
    "check_batch",
    "check_detection",
    "check_detection_splits",
    "check_segmentation",
    "check_splits",
    "collate_detection",
    "default_colours",
    "eval_loader",
    "find_detection",
    "find_segmentation",
    "limit",
    "limit_detection",
    "read_image",
    "read_labels",
    "read_mask",
    "resize_picture",
    "train_loader",
    "write_mask",
    "write_shapes",
]
