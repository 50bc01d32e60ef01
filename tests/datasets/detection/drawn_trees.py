"""Small trees of YOLO's, labelme's and CVAT's files."""

import json

import pytest

from datasets.faults import DataError
from tests.datasets.detection.trees import write_image


def refusal(call, *arguments, **named) -> str:
    with pytest.raises(DataError) as caught:
        call(*arguments, **named)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def boxes(files, index=0):
    return files.objects[index].boxes.tolist()


def write_yolo(root, labels, split="train", names="names: [cat, dog]", swapped=False):
    for stem, text in labels.items():
        images, texts = (root / split / part if swapped else root / part / split for part in ("images", "labels"))
        write_image(images / f"{stem}.jpg")
        (texts / stem).parent.mkdir(parents=True, exist_ok=True)
        if text is not None:
            (texts / f"{stem}.txt").write_text(text)
    (root / "data.yaml").write_text(f"path: ../elsewhere\ntrain: images/train\n{names}\n")
    return root


def drawn(label, kind, *points, **more):
    return {"label": label, "shape_type": kind, "points": [[*point] for point in points], "group_id": None, **more}


def write_labelme(folder, stem, *shapes, size=(30, 20), **more):
    write_image(folder / f"{stem}.jpg")
    content = {"version": "5.4", "shapes": [*shapes], "imagePath": f"{stem}.jpg", "imageData": None}
    content |= {"imageHeight": size[1], "imageWidth": size[0], **more}
    (folder / f"{stem}.json").write_text(json.dumps(content))


SHAPES = [
    drawn("cat", "rectangle", (12, 14), (2, 4)),
    drawn("dog", "polygon", (20, 2), (28, 2), (28, 6), group_id=1),
    drawn("dog", "polygon", (20, 10), (24, 10), (24, 18), group_id=1),
    drawn("cat", "circle", (15, 10), (18, 10)),
    drawn("cat", "line", (1, 1), (2, 2)),
    drawn("__ignore__", "rectangle", (0, 0), (3, 3)),
]


def cvat_image(name, *shapes, size=(30, 20), more=""):
    return f'<image id="0" name="{name}" width="{size[0]}" height="{size[1]}" {more}>{"".join(shapes)}</image>'


META = "<meta><task><labels><label><name>cat</name></label><label><name>dog</name></label></labels></task></meta>"


BOX = '<box label="cat" xtl="2.0" ytl="4" xbr="12" ybr="14.5" occluded="0" z_order="1"/>'


POLYGON = '<polygon label="dog" points="0,0;29,0;29,19;0,19" z_order="0"/>'


def write_cvat(root, *images, meta=META, names=("a.jpg",)):
    root.mkdir(parents=True, exist_ok=True)
    for name in names:
        write_image(root / "images" / name)
    (root / "annotations.xml").write_text(f"<annotations><version>1.1</version>{meta}{''.join(images)}</annotations>")
    return root


def labelme_tree(root):
    (root / "labels.txt").write_text("__ignore__\n_background_\ncat\ndog\n")
    write_labelme(root / "train", "a", *SHAPES)
    write_labelme(root / "val", "b")
    write_image(root / "train" / "bare.jpg")
    return root
