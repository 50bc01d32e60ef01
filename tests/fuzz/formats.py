"""The fourteen formats that are mutated, by name."""

from tests.fuzz.archives import archives
from tests.fuzz.coco_json import coco_json
from tests.fuzz.coco_masks import coco_masks
from tests.fuzz.configs import configs
from tests.fuzz.cvat import cvat
from tests.fuzz.engine import Format
from tests.fuzz.idx import idx
from tests.fuzz.images import images
from tests.fuzz.labelme import labelme
from tests.fuzz.labels import labels
from tests.fuzz.lists import lists
from tests.fuzz.masks import masks
from tests.fuzz.panoptic import panoptic
from tests.fuzz.voc_xml import voc_xml
from tests.fuzz.yolo import yolo

FORMATS: dict[str, Format] = {
    "VOC XML": voc_xml,
    "COCO json": coco_json,
    "masks": masks,
    "lists": lists,
    "images": images,
    "labels.txt": labels,
    "IDX": idx,
    "archives": archives,
    "configs": configs,
    "YOLO": yolo,
    "labelme": labelme,
    "CVAT": cvat,
    "COCO masks": coco_masks,
    "COCO panoptic": panoptic,
}
