"""Start weights: what of them is taken, what is kept of other classes, and what is said of it."""

import re

import pytest
import torch
from torchvision.models.detection import SSDLite320_MobileNet_V3_Large_Weights, ssdlite320_mobilenet_v3_large

from backbones import create_backbone
from tasks import DetectionSpec, DetectionTask, SegmentationSpec, SegmentationTask, detection_table
from tasks.detection.task import DetectionNetwork
from tasks.detection.weights import from_torchvision, load_detection_weights, start_detection_normalisation

COCO = SSDLite320_MobileNet_V3_Large_Weights.COCO_V1
CATEGORIES = COCO.meta["categories"]
NAMES = [name for name in CATEGORIES[1:] if name != "N/A"]
URL = "https://download.pytorch.org/models/ssdlite320_mobilenet_v3_large_coco-a79551df.pth"


@pytest.fixture(scope="module")
def published():
    """torchvision's network with biases and statistics that differ, in place of the published weights."""
    torch.manual_seed(0)
    theirs = ssdlite320_mobilenet_v3_large(weights=None, weights_backbone=None, num_classes=91)
    for module in theirs.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.momentum = 1.0
    with torch.no_grad():
        for branch in theirs.head.classification_head.module_list:
            branch[1].bias.normal_()
        theirs.head(list(theirs.backbone(torch.randn(4, 3, 160, 160)).values()))
    return theirs.eval()


@pytest.fixture(scope="module")
def file(published, tmp_path_factory):
    path = tmp_path_factory.mktemp("weights") / "ssdlite.pth"
    torch.save(published.state_dict(), path)
    return path


def network(names, head="ssdlite-torchvision", backbone="v3-large") -> tuple[DetectionNetwork, DetectionSpec]:
    spec = DetectionSpec(detection_table(backbone), head, names, [(0, 0, 0)] * len(names), (320, 320))
    return DetectionNetwork(spec).eval(), spec


def copied(module) -> dict:
    return {key: tensor.clone() for key, tensor in module.state_dict().items()}


def rows(state, names, key) -> torch.Tensor:
    """[anchors, background and classes, ...] of the last convolution of a class branch."""
    return state[key].unflatten(0, (-1, len(names) + 1))


def last_convolutions(state) -> list[str]:
    return [key for key in state if key.startswith("head.class_branches.") and key.split(".")[3] == "1"]


def test_a_file_of_torchvisions_loads_whole(published, file):
    ours, spec = network(NAMES)
    total = len(ours.state_dict())
    said = load_detection_weights(ours, spec, file)
    assert said.startswith(f"{file}: took {total} of {total} tensors\nclasses kept: person, bicycle, car, ")
    assert said.endswith(", toothbrush; new: none")
    images = torch.randn(2, 3, 160, 160)
    with torch.no_grad():
        expected = published.head(list(published.backbone(images).values()))
        logits, offsets = ours(images)
    theirs = expected["cls_logits"][..., [0, *(CATEGORIES.index(name) for name in NAMES)]]
    assert theirs.std() > 0.1 and expected["bbox_regression"].std() > 0.1
    assert torch.allclose(logits, theirs, atol=1e-5)
    assert torch.allclose(offsets, expected["bbox_regression"], atol=1e-5)


def test_classes_of_the_same_name_keep_their_rows(file):
    names = ["unicorn", "dog", "person"]
    ours, spec = network(names)
    before, theirs = copied(ours), from_torchvision(ours, torch.load(file))
    said = load_detection_weights(ours, spec, file)
    assert said.endswith("\nclasses kept: dog, person; new: unicorn")
    after = ours.state_dict()
    places = [0, CATEGORIES.index("dog"), CATEGORIES.index("person")]
    assert len(last_convolutions(after)) == 12
    for key in last_convolutions(after):
        assert torch.equal(rows(after, names, key)[:, [0, 2, 3]], rows(theirs, CATEGORIES[1:], key)[:, places])
        assert torch.equal(rows(after, names, key)[:, 1], rows(before, names, key)[:, 1])
    others = after.keys() - set(last_convolutions(after))
    assert all(torch.equal(after[key], theirs[key]) for key in others)


def test_the_papers_head_takes_all_but_the_first_maps_last_convolutions(file):
    ours, spec = network(NAMES, head="ssdlite")
    before, theirs = copied(ours), from_torchvision(ours, torch.load(file))
    said = load_detection_weights(ours, spec, file)
    after = ours.state_dict()
    first = {f"head.{kind}_branches.0.1.{part}" for kind in ("class", "box") for part in ("weight", "bias")}
    assert all(torch.equal(after[key], before[key]) for key in first)
    taken = after.keys() - first - set(last_convolutions(after))
    assert all(torch.equal(after[key], theirs[key]) for key in taken)
    second = "head.class_branches.1.1.bias"
    people = [rows(after, NAMES, second)[:, 1], rows(theirs, CATEGORIES[1:], second)[:, 1]]
    assert torch.equal(*people)
    assert f"took {len(after) - 4} of {len(after)} tensors" in said
    assert "initial values: head.box_branches.0.1, head.class_branches.0.1\n" in said


def test_torchvisions_weights_for_other_classes_keep_none(tmp_path):
    theirs = ssdlite320_mobilenet_v3_large(weights=None, weights_backbone=None, num_classes=4)
    torch.save(theirs.state_dict(), tmp_path / "three.pth")
    ours, spec = network(["person", "dog", "cat"])
    before = copied(ours)
    said = load_detection_weights(ours, spec, tmp_path / "three.pth")
    assert said.endswith("\nclasses kept: none; new: person, dog, cat")
    assert all(torch.equal(ours.state_dict()[key], before[key]) for key in last_convolutions(before))
    assert torch.equal(ours.head.extra[0][0][0].weight, theirs.backbone.extra[0][0][0].weight)


def save_task(task, path):
    content = {"state_dict": task.state_dict()}
    task.on_save_checkpoint(content)
    torch.save(content, path)
    return path


def test_a_checkpoint_of_a_wider_backbone_fills_the_narrower_one(tmp_path):
    spec = DetectionSpec(detection_table("v3-small", reduced_tail=False), "ssdlite", ["disc"], [(0, 0, 0)], (320, 320))
    path = save_task(DetectionTask(spec), tmp_path / "best.ckpt")
    ours, spec = network(["disc"], "ssdlite", "v3-small")
    said = load_detection_weights(ours, spec, str(path))
    theirs = torch.load(path, weights_only=True)["state_dict"]["network.backbone.last.conv.weight"]
    own = ours.backbone.last.conv.weight
    assert own.shape == (288, 48, 1, 1) and theirs.shape == (576, 96, 1, 1)
    assert own[0, 0, 0, 0] in theirs
    assert re.search(r" [1-9]\d\.\d% narrowed to the most important channels, ", said)


def test_a_checkpoint_of_ours_with_other_classes(tmp_path):
    old, new = ["disc", "square", "star"], ["star", "moon", "disc"]
    task = DetectionTask(network(old, "ssdlite", "v3-small")[1])
    for branch in task.network.head.class_branches:
        torch.nn.init.normal_(branch[1].bias)
    path = save_task(task, tmp_path / "best.ckpt")
    ours, spec = network(new, "ssdlite", "v3-small")
    before, theirs = copied(ours), task.network.state_dict()
    said = load_detection_weights(ours, spec, str(path))
    after = ours.state_dict()
    assert said == f"{path}: took {len(after)} of {len(after)} tensors\nclasses kept: star, disc; new: moon"
    for key in last_convolutions(after):
        assert torch.equal(rows(after, new, key)[:, [0, 1, 3]], rows(theirs, old, key)[:, [0, 3, 1]])
        assert torch.equal(rows(after, new, key)[:, 2], rows(before, new, key)[:, 2])
    others = after.keys() - set(last_convolutions(after))
    assert all(torch.equal(after[key], theirs[key]) for key in others)


@pytest.mark.parametrize("kind", ["segmentation checkpoint", "backbone"])
def test_other_files_fill_the_backbone_alone(kind, tmp_path):
    if kind == "backbone":
        source = create_backbone("v3-small", reduced_tail=True)
        path = tmp_path / "backbone.pth"
        torch.save(source.state_dict(), path)
    else:
        spec = SegmentationSpec(detection_table("v3-small"), "lraspp", ["ground", "disc"], [(0, 0, 0)] * 2, (64, 64))
        task = SegmentationTask(spec)
        source, path = task.network.backbone, save_task(task, tmp_path / "best.ckpt")
    ours, spec = network(["disc"], "ssdlite", "v3-small")
    head = copied(ours.head)
    said = load_detection_weights(ours, spec, path)
    total = len(source.state_dict())
    assert f"{path}: took {total} of {total} tensors" in said
    assert all(torch.equal(tensor, source.state_dict()[key]) for key, tensor in ours.backbone.state_dict().items())
    assert all(torch.equal(tensor, head[key]) for key, tensor in ours.head.state_dict().items())


def test_coco_is_torchvisions_published_file(published, file, monkeypatch):
    asked = []
    monkeypatch.setattr("backbones.pretrained.fetch_url", lambda url: asked.append(url) or file)
    ours, spec = network(["zebra", "quagga"])
    said = load_detection_weights(ours, spec, "coco")
    assert asked == [URL]
    assert said.startswith("coco: took ") and said.endswith("classes kept: zebra; new: quagga")
    assert torch.equal(ours.backbone.stem.conv.weight, published.backbone.features[0][0][0].weight)


def test_there_are_no_coco_weights_for_the_small_network():
    with pytest.raises(ValueError, match="COCO weights for v3-large, not for mobilenet_v3_small"):
        load_detection_weights(*network(["disc"], "ssdlite", "v3-small"), "coco")


@pytest.mark.parametrize(
    "content",
    [
        {"encoder.weight": torch.zeros(3)},
        {"mobiledense": {"task": "detection", "names": ["disc"]}, "state_dict": {"network.neck": torch.zeros(3)}},
        {"head.classification_head.module_list.1.1.bias": torch.zeros(12)},
    ],
    ids=["foreign", "ours", "torchvision's"],
)
def test_a_file_in_which_nothing_fits(content, tmp_path):
    torch.save(content, tmp_path / "other.pth")
    ours, spec = network(["disc"], "ssdlite", "v3-small")
    before = copied(ours)
    with pytest.raises(ValueError, match=r"other\.pth: nothing in it fits"):
        load_detection_weights(ours, spec, tmp_path / "other.pth")
    assert all(torch.equal(tensor, before[key]) for key, tensor in ours.state_dict().items())


@pytest.mark.parametrize(
    "content",
    [
        {0: torch.zeros(3)},
        {"head.classification_head.module_list.1.1.bias": torch.tensor(3.0)},
        {"mobiledense": {"task": "detection", "table": {"name": "mobilenet_v3_small"}}, "state_dict": {0: 1}},
    ],
    ids=["numbers for names", "a bias without a shape", "ours without tensors"],
)
def test_odd_files_are_one_line(content, tmp_path):
    torch.save(content, tmp_path / "odd.pth")
    with pytest.raises(ValueError, match=r"odd\.pth: (holds no state dict|nothing in it fits)") as caught:
        load_detection_weights(*network(["disc"], "ssdlite", "v3-small"), tmp_path / "odd.pth")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("names", "change", "said"),
    [
        (["disc"], lambda x: x.reshape(2, -1), "took"),  # so many numbers as in ours, and another shape
        (["disc"], lambda x: x.sum(), "took"),
        (None, lambda x: x, "took"),
        (["disc"], lambda x: x * torch.nan, "class_branches.0.1.bias holds infinite values or NaN"),
    ],
)
def test_odd_class_branches_of_a_checkpoint_of_ours(names, change, said, tmp_path):
    ours, spec = network(["disc"], "ssdlite", "v3-small")
    path = save_task(DetectionTask(spec), tmp_path / "best.ckpt")
    content = torch.load(path)
    key = "network.head.class_branches.0.1.bias"
    content["state_dict"][key] = change(content["state_dict"][key])
    if names is None:
        del content["mobiledense"]["names"]
    torch.save(content, path)
    try:
        assert said in load_detection_weights(ours, spec, path)
    except ValueError as error:
        assert said in str(error)


def test_a_missing_file_is_named():
    with pytest.raises(FileNotFoundError, match=r"none\.pth: no such weights file"):
        load_detection_weights(*network(["disc"], "ssdlite", "v3-small"), "none.pth")


def test_images_are_normalised_as_the_start_weights_expect(file, tmp_path):
    half = {"mean": (0.5, 0.5, 0.5), "std": (0.5, 0.5, 0.5)}
    table = detection_table("v3-small")
    found = [start_detection_normalisation(table, source) for source in ("coco", str(file), None, "imagenet")]
    assert found == [half, half, {}, {}]
    assert start_detection_normalisation(detection_table("v3-small", minimalistic=True), "imagenet") == half
    spec = DetectionSpec(table, "ssdlite", ["disc"], [(0, 0, 0)], (64, 64), mean=(0.1, 0.2, 0.3), std=(0.4, 0.5, 0.6))
    path = save_task(DetectionTask(spec), tmp_path / "best.ckpt")
    assert start_detection_normalisation(table, str(path)) == {"mean": (0.1, 0.2, 0.3), "std": (0.4, 0.5, 0.6)}
    torch.save(create_backbone("v3-small").state_dict(), tmp_path / "backbone.pth")
    assert start_detection_normalisation(table, str(tmp_path / "backbone.pth")) == {}
