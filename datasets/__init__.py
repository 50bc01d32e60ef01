"""Data: files on disk to samples, augmentation, batches, and checks. Imports no other folder of ours."""

from datasets.augment import Augmentation
from datasets.checks import SegmentationSummary, check_segmentation, check_splits
from datasets.files import PICTURES, DataError, default_colours, read_image, read_labels, read_mask, write_mask
from datasets.loading import check_batch, eval_loader, train_loader
from datasets.segmentation import DATASETS, SegmentationDataset, SegmentationFiles, find_segmentation, limit
from datasets.shapes import write_shapes

__all__ = [
    "DATASETS",
    "PICTURES",
    "Augmentation",
    "DataError",
    "SegmentationDataset",
    "SegmentationFiles",
    "SegmentationSummary",
    "check_batch",
    "check_segmentation",
    "check_splits",
    "default_colours",
    "eval_loader",
    "find_segmentation",
    "limit",
    "read_image",
    "read_labels",
    "read_mask",
    "train_loader",
    "write_mask",
    "write_shapes",
]
