"""Small trees of images in VOC's and COCO's layouts, for tests of what reads them."""

import json

import pytest
from PIL import Image

from datasets.detection.find import find_detection
from datasets.faults import DataError

NAMES = ["cat", "dog", "traffic light"]


def error_line(call, *arguments, **named) -> str:
    with pytest.raises(DataError) as caught:
        call(*arguments, **named)
    message = str(caught.value)
    assert "\n" not in message
    return message


def write_image(path, size=(30, 20), orientation=None):
    path.parent.mkdir(parents=True, exist_ok=True)
    exif = Image.Exif()
    if orientation:
        exif[0x0112] = orientation
    Image.new("RGB", size, (200, 50, 60)).save(path, exif=exif)


# VOC trees

SIDES = ("xmin", "ymin", "xmax", "ymax")


def thing(name, *corners, extra=""):
    box = "".join(f"<{side}>{value}</{side}>" for side, value in zip(SIDES, corners, strict=False))
    return f"<object><name>{name}</name>{extra}<bndbox>{box}</bndbox></object>"


def annotation(*things, size=(30, 20), head=""):
    given = f"<size><width>{size[0]}</width><height>{size[1]}</height></size>" if size else ""
    return f"<annotation>{head}{given}{''.join(things)}</annotation>"


def write_voc(root, annotations, split="train", names=NAMES, size=(30, 20)):
    for folder in ("Annotations", "JPEGImages", "ImageSets/Main"):
        (root / folder).mkdir(parents=True, exist_ok=True)
    (root / "ImageSets" / "Main" / f"{split}.txt").write_text("".join(f"{stem}\n" for stem in annotations))
    for stem, text in annotations.items():
        write_image(root / "JPEGImages" / f"{stem}.jpg", size)
        if text is not None:
            (root / "Annotations" / f"{stem}.xml").write_text(text)
    if names:
        (root / "labels.txt").write_text("\n".join(names))
    return root


def read_voc(root, annotations, **options):
    return find_detection("voc", "train", write_voc(root, annotations, **options))


# COCO json

CATEGORIES = [{"id": 7, "name": "dog"}, {"id": 0, "name": "cat"}, {"id": 90, "name": "brush"}]
RLE = {"size": [20, 30], "counts": [0, 5, 595]}


def image(number, name=None, size=(30, 20)):
    entry = {"id": number, "file_name": name or f"{number}.jpg"}
    return {**entry, "width": size[0], "height": size[1]} if size else entry


def mark(number, image, category, box, **more):
    return {"id": number, "image_id": image, "category_id": category, "bbox": box, **more}


def write_coco(root, images, annotations, categories=CATEGORIES, name="instances_train.json", folder="train"):
    (root / "annotations").mkdir(parents=True, exist_ok=True)
    content = {"images": images, "annotations": annotations, "categories": categories}
    (root / "annotations" / name).write_text(json.dumps(content))
    for image in images:
        if isinstance(image.get("file_name"), str):
            write_image(root / folder / image["file_name"])
    return root


def read_coco(root, images, annotations, *more, **options):
    return find_detection("coco", "train", write_coco(root, images, annotations, *more, **options))
