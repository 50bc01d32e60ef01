"""SSDLite against the paper's counts and against torchvision's network, detections and loss."""

import re

import pytest
import torch
from torchvision.models.detection import ssdlite320_mobilenet_v3_large
from torchvision.models.detection.image_list import ImageList
from torchvision.ops import box_iou

from backbones import TABLES
from backbones.counting import count_costs
from heads import (
    Anchors,
    DetectionLoss,
    HeadError,
    create_detection_head,
    decode_detections,
    decode_fixed,
    encode_boxes,
)
from heads.anchors import corners, decode_boxes
from heads.matching import match_anchors
from tasks.detection.task import DetectionNetwork, DetectionSpec, detection_table
from tasks.detection.weights import from_torchvision

COCO = [str(index) for index in range(90)]


def network(backbone="v3-large", head="ssdlite", names=COCO, **options):
    spec = DetectionSpec(detection_table(backbone, **options), head, names, [(0, 0, 0)] * len(names), (320, 320))
    return DetectionNetwork(spec).eval()


def test_costs_of_torchvisions_preset():
    costs = count_costs(network(head="ssdlite-torchvision"), 320, 320)
    assert costs.params == 3_440_060
    assert costs.madds / 1e6 == pytest.approx(583.17, abs=0.005)


@pytest.fixture(scope="module")
def twins():
    """torchvision's network with lively statistics, and ours with its weights."""
    torch.manual_seed(0)
    theirs = ssdlite320_mobilenet_v3_large(weights=None, weights_backbone=None).train()
    for module in theirs.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.momentum = 0.5
    with torch.no_grad():
        for _ in range(3):
            theirs.backbone(torch.randn(4, 3, 320, 320))
        for branch in theirs.head.classification_head.module_list:
            torch.nn.init.normal_(branch[1].weight, std=0.2)
            branch[1].bias.view(-1, 91)[:, 0] += 4.0
    theirs.eval()
    ours = network(head="ssdlite-torchvision")
    state = from_torchvision(ours, theirs.state_dict())
    ours.load_state_dict(state)
    return theirs, ours


def test_raw_outputs_are_torchvisions(twins):
    theirs, ours = twins
    images = torch.randn(2, 3, 320, 320)
    with torch.no_grad():
        expected = theirs.head(list(theirs.backbone(images).values()))
        logits, offsets = ours(images)
    assert torch.allclose(logits, expected["cls_logits"], atol=1e-5)
    assert torch.allclose(offsets, expected["bbox_regression"], atol=1e-5)


def test_anchors_are_torchvisions(twins):
    theirs, ours = twins
    images = torch.zeros(1, 3, 320, 320)
    with torch.no_grad():
        maps = list(theirs.backbone(images).values())
    expected = theirs.anchor_generator(ImageList(images, [(320, 320)]), maps)[0]
    assert torch.allclose(corners(ours.head.anchors((320, 320)).boxes) * 320, expected, atol=1e-3)


@pytest.mark.parametrize("threshold", [0.001, 0.02, 0.2])
def test_detections_are_torchvisions(twins, threshold):
    theirs, ours = twins
    images, size = torch.randn(3, 3, 320, 320), [(320, 320)] * 3
    theirs.score_thresh = threshold
    with torch.no_grad():
        maps = list(theirs.backbone(images).values())
        anchors = theirs.anchor_generator(ImageList(images, size), maps)
        expected = theirs.postprocess_detections(theirs.head(maps), anchors, size)
        logits, offsets = ours(images)
    found = decode_detections(logits, offsets, ours.head.anchors((320, 320)).boxes, score_threshold=threshold)
    assert found.counts.tolist() == [len(one["scores"]) for one in expected]
    for index, one in enumerate(expected):
        count = len(one["scores"])
        assert torch.allclose(found.scores[index, :count], one["scores"], atol=1e-6)
        assert torch.equal(found.labels[index, :count] + 1, one["labels"])
        assert torch.allclose(found.boxes[index, :count] * 320, one["boxes"], atol=1e-2)
        assert not found.scores[index, count:].any()


def test_candidates_of_a_class_are_limited_as_in_torchvision(twins):
    """One class wins nearly everywhere, so that its 300 best anchors are cut off before suppression."""
    theirs, ours = twins
    anchors = ours.head.anchors((320, 320))
    raw = {
        "cls_logits": 2 * torch.randn(1, len(anchors), 91),
        "bbox_regression": torch.randn(1, len(anchors), 4),
    }
    raw["cls_logits"][..., 7] += 8
    theirs.score_thresh = 0.001
    expected = theirs.postprocess_detections(dict(raw), [corners(anchors.boxes) * 320], [(320, 320)])[0]
    found = decode_detections(raw["cls_logits"], raw["bbox_regression"], anchors.boxes)
    count = int(found.counts[0])
    assert 0 < count == len(expected["scores"])
    assert torch.equal(found.labels[0, :count] + 1, expected["labels"])
    unlimited = decode_detections(raw["cls_logits"], raw["bbox_regression"], anchors.boxes, topk_per_class=3000)
    assert not torch.equal(unlimited.labels, found.labels)


def targets(batch, seed=0, most=6, classes=90, least=0.05):
    generator = torch.Generator().manual_seed(seed)
    labels = torch.full((batch, most), -1)
    boxes = torch.zeros(batch, most, 4)
    for index in range(batch):
        count = int(torch.randint(0, most + 1, (1,), generator=generator))
        low = torch.rand(count, 2, generator=generator) * 0.6
        sides = least + torch.rand(count, 2, generator=generator) * 0.35
        boxes[index, :count] = torch.cat([low, low + sides], 1)
        labels[index, :count] = torch.randint(0, classes, (count,), generator=generator)
    return boxes, labels


@pytest.mark.parametrize("size", [(320, 320), (160, 416), (97, 65)])
@pytest.mark.parametrize("first", [3, 6])
@pytest.mark.parametrize("threshold", [0.5, 0.35])
def test_matching_by_looking_at_every_pair(size, first, threshold):
    """Many anchors overlap a small box alike up to rounding; any of them will do."""
    grids = [(-(-size[0] // 2**n), -(-size[1] // 2**n)) for n in range(3, 9)]
    anchors = Anchors(grids, size, 0.1, first=first)
    generator = torch.Generator().manual_seed(size[0] + first)
    low = torch.rand(4, 40, 2, generator=generator) * 1.2 - 0.1  # some centres lie outside of the image
    boxes = torch.cat([low, low + 0.02 + torch.rand(4, 40, 2, generator=generator) ** 3 * 0.9], 2)
    labels = torch.randint(-1, 5, (4, 40), generator=generator)  # padding may be anywhere
    reached = 0
    for found, box, label in zip(match_anchors(anchors, boxes, labels, threshold), boxes, labels, strict=True):
        overlap = box_iou(box, corners(anchors.boxes)) * (label >= 0)[:, None]
        most, owner = overlap.max(dim=0)
        expected = torch.where(most >= threshold, owner, -1)
        best = (overlap >= overlap.max(dim=1, keepdim=True)[0] - 1e-6) & (overlap > 0)
        claimed = (found != expected).nonzero()[:, 0]
        assert best[found[claimed], claimed].all()
        order = torch.arange(len(box))[:, None]
        assert (best & (found >= order)).any(dim=1).equal(best.any(dim=1))  # a later box may have taken it
        reached += int((expected >= 0).sum())
    assert reached > 10


def test_matching_and_loss_are_torchvisions(twins):
    theirs, ours = twins
    images = torch.randn(6, 3, 320, 320)
    boxes, labels = targets(6, least=0.25)  # smaller ones have several best anchors
    with torch.no_grad():
        maps = list(theirs.backbone(images).values())
        anchors = theirs.anchor_generator(ImageList(images, [(320, 320)] * 6), maps)
        raw = theirs.head(maps)
    wanted = [
        {"boxes": box[label >= 0] * 320, "labels": label[label >= 0] + 1}
        for box, label in zip(boxes, labels, strict=True)
    ]
    ours_anchors = ours.head.anchors((320, 320))
    matched = []
    for box, label in zip(boxes, labels, strict=True):  # in shares of the image: pixels would break ties otherwise
        overlap = box_iou(box[label >= 0], corners(ours_anchors.boxes))
        matched.append(theirs.proposal_matcher(overlap) if len(overlap) else torch.full((len(ours_anchors),), -1))
    assert torch.equal(match_anchors(ours_anchors, boxes, labels), torch.stack(matched))
    expected = theirs.compute_loss(wanted, raw, anchors, matched)
    logits = raw["cls_logits"].clone().requires_grad_()
    offsets = raw["bbox_regression"].clone().requires_grad_()
    classes, box = DetectionLoss()(logits, offsets, ours_anchors, boxes, labels)
    assert classes.item() == pytest.approx(expected["classification"].item(), rel=1e-5)
    assert box.item() == pytest.approx(expected["bbox_regression"].item(), rel=1e-4)
    (classes + box).backward()
    assert torch.isfinite(logits.grad).all() and logits.grad.abs().sum() > 0


def test_gradients_of_the_class_loss_are_torchvisions(twins):
    theirs, ours = twins
    boxes, labels = targets(2, seed=3)
    anchors = ours.head.anchors((320, 320))
    raw = torch.randn(2, len(anchors), 91)
    offsets = torch.zeros(2, len(anchors), 4)
    matched = match_anchors(anchors, boxes, labels)
    wanted = [
        {"boxes": box[label >= 0] * 320, "labels": label[label >= 0] + 1}
        for box, label in zip(boxes, labels, strict=True)
    ]
    gradients = []
    for side in ("theirs", "ours"):
        logits = raw.clone().requires_grad_()
        if side == "theirs":
            outputs = {"cls_logits": logits, "bbox_regression": offsets}
            loss = theirs.compute_loss(wanted, outputs, [corners(anchors.boxes) * 320] * 2, list(matched))[
                "classification"
            ]
        else:
            loss = DetectionLoss()(logits, offsets, anchors, boxes, labels)[0]
        loss.backward()
        gradients.append(logits.grad)
    assert torch.allclose(gradients[0], gradients[1], atol=1e-7)


@pytest.mark.parametrize("scale", [1, 300])
def test_class_loss_of_large_logits(scale):
    """Exponentials of the larger ones overflow."""
    anchors = Anchors([(4, 4), (2, 2)], (64, 64))
    boxes, labels = targets(2, seed=1, classes=5)
    logits = (scale * torch.randn(2, len(anchors), 6)).requires_grad_()
    found = DetectionLoss()(logits, torch.zeros(2, len(anchors), 4), anchors, boxes, labels)[0]
    found.backward()
    matched = match_anchors(anchors, boxes, labels)
    target = torch.where(matched >= 0, labels.gather(1, matched.clamp(min=0)) + 1, 0)
    losses = torch.nn.functional.cross_entropy(logits.permute(0, 2, 1), target, reduction="none")
    total = losses[matched >= 0].sum()
    for one, own in zip(losses, matched, strict=True):
        wanted = min(3 * int((own >= 0).sum()), int((own < 0).sum()))
        total = total + one[own < 0].topk(wanted)[0].sum()
    assert found.item() == pytest.approx((total / (matched >= 0).sum()).item(), rel=1e-5)
    assert logits.grad.isfinite().all()


@pytest.mark.parametrize("name", ["cross_entropy", "focal"])
def test_loss_of_images_without_boxes(name):
    anchors = Anchors([(3, 3)], (64, 64))
    logits = torch.randn(2, 54, 4, requires_grad=True)
    offsets = torch.randn(2, 54, 4, requires_grad=True)
    boxes, labels = torch.zeros(2, 1, 4), torch.full((2, 1), -1)
    classes, box = DetectionLoss(name)(logits, offsets, anchors, boxes, labels)
    (classes + box).backward()
    assert torch.isfinite(classes) and box == 0
    assert (classes > 0) == (name == "focal")


def test_focal_loss_by_the_formula():
    from torchvision.ops import sigmoid_focal_loss

    anchors = Anchors([(4, 4), (2, 2)], (64, 64))
    boxes, labels = targets(3, seed=1, most=3, classes=5)
    logits = torch.randn(3, len(anchors), 6)
    matched = match_anchors(anchors, boxes, labels)
    wanted = torch.zeros(3, len(anchors), 5)
    for image, anchor in (matched >= 0).nonzero().tolist():
        wanted[image, anchor, labels[image, matched[image, anchor]]] = 1
    expected = sigmoid_focal_loss(logits[..., 1:], wanted, alpha=0.75, gamma=2.0, reduction="sum")
    found = DetectionLoss("focal")(logits, torch.zeros(3, len(anchors), 4), anchors, boxes, labels)[0]
    assert found.item() == pytest.approx(expected.item() / max(1, int((matched >= 0).sum())), rel=1e-5)


def test_unknown_loss_names_the_nearest():
    with pytest.raises(ValueError, match='"focl"; did you mean "focal"'):
        DetectionLoss("focl")


def test_every_box_has_an_anchor_and_the_last_one_wins_a_shared_one():
    anchors = Anchors([(2, 2)], (64, 64), first=3)
    boxes = torch.tensor([[[0.2, 0.2, 0.25, 0.25], [0.2, 0.2, 0.26, 0.25], [0, 0, 0, 0]]])
    assert match_anchors(anchors, boxes, torch.tensor([[0, 1, -1]])).tolist() == [[1] + [-1] * 11]


def test_padding_changes_nothing():
    anchors = Anchors([(8, 8), (4, 4), (2, 2)], (128, 128))
    boxes, labels = targets(4)
    more = torch.nn.functional.pad(boxes, (0, 0, 0, 5)), torch.nn.functional.pad(labels, (0, 5), value=-1)
    assert torch.equal(match_anchors(anchors, boxes, labels), match_anchors(anchors, *more))


def test_coding_there_and_back():
    anchors = Anchors([(5, 7)], (100, 140)).boxes
    low = torch.rand(len(anchors), 2) * 0.5
    boxes = torch.cat([low, low + 0.05 + torch.rand(len(anchors), 2) * 0.4], 1)
    assert torch.allclose(decode_boxes(encode_boxes(boxes, anchors), anchors), boxes, atol=1e-5)


@pytest.mark.parametrize("first", [3, 6])
@pytest.mark.parametrize("small", [False, True])
@pytest.mark.parametrize(
    ("backbone", "size"),
    [
        *(("v3-small", size) for size in [(320, 320), (321, 257), (416, 416), (512, 512), (320, 512)]),
        *((name, (65, 97)) for name in TABLES),
    ],
)
def test_there_is_an_anchor_for_every_output(first, small, backbone, size):
    net = network(backbone, names=["a", "b"])
    head = create_detection_head(
        "ssdlite", net.backbone.channels, net.backbone.strides, 2, first=first, small_objects=small
    ).eval()
    net.backbone.set_taps(head.taps)
    logits, offsets = head(net.backbone(torch.randn(1, 3, *size)))
    anchors = head.anchors(size).boxes
    assert logits.shape == (1, len(anchors), 3)
    assert offsets.shape == (1, len(anchors), 4)
    assert (anchors[:, :2] > 0).all() and (anchors[:, :2] < 1).all()


def test_first_anchor_is_square_in_pixels_on_wide_images():
    anchors = Anchors([(2, 4)], (100, 200)).boxes
    assert (anchors[0, 2:] * torch.tensor([200.0, 100.0])).tolist() == pytest.approx([20, 20])


def test_fixed_shapes_give_the_same_detections(twins):
    _, ours = twins
    with torch.no_grad():
        logits, offsets = ours(torch.randn(2, 3, 320, 320))
    anchors = ours.head.anchors((320, 320)).boxes
    exact = decode_detections(logits, offsets, anchors, score_threshold=0.05, max_detections=100, topk_per_class=300)
    fixed = decode_fixed(logits, offsets, anchors, score_threshold=0.05, max_detections=100, topk=2000)
    count = exact.counts.tolist()
    assert fixed.counts.tolist() == count
    for index, number in enumerate(count):
        assert torch.equal(fixed.scores[index, :number], exact.scores[index, :number])
        assert torch.equal(fixed.labels[index, :number], exact.labels[index, :number])
        assert torch.allclose(fixed.boxes[index, :number], exact.boxes[index, :number])


def test_fixed_shapes_export(twins):
    _, ours = twins

    class Whole(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.net = ours
            self.register_buffer("anchors", ours.head.anchors((320, 320)).boxes)

        def forward(self, images):
            return decode_fixed(*self.net(images), self.anchors)

    image = torch.randn(1, 3, 320, 320)
    program = torch.export.export(Whole().eval(), (image,))
    for expected, found in zip(Whole().eval()(image), program.module()(image), strict=True):
        assert torch.allclose(expected, found, atol=1e-5)


def test_nothing_above_the_threshold():
    anchors = Anchors([(2, 2)], (64, 64)).boxes
    logits = torch.zeros(2, len(anchors), 3)
    logits[..., 0] = 20
    found = decode_detections(logits, torch.zeros(2, len(anchors), 4), anchors)
    assert found.counts.tolist() == [0, 0]
    assert not found.boxes.any()


def test_sigmoid_scores():
    anchors = Anchors([(1, 1)], (64, 64), first=3).boxes
    logits = torch.full((1, 3, 3), -10.0)
    logits[0, 1, 2] = 0.0
    found = decode_detections(logits, torch.zeros(1, 3, 4), anchors, sigmoid=True)
    assert found.counts.tolist() == [1]
    assert found.scores[0, 0].item() == pytest.approx(0.5)
    assert found.labels[0, 0] == 1


def test_extra_maps_have_widths_of_their_own():
    channels = {"c4.first.expansion": 24, "c5.first.expansion": 40, "c5": 48}
    strides = {"c4.first.expansion": 8, "c5.first.expansion": 16, "c5": 32}
    numbers = [24, 40, 16, 32, 8, 24, 8, 16]
    head = create_detection_head("ssdlite", channels, strides, 3, width=0.5, extra=numbers)
    assert [layer[part][0].out_channels for layer in head.extra for part in (0, 2)] == numbers
    for value, said in (
        (numbers[1:], "extra has 7 numbers of channels; give 8, two for each extra map"),
        (8, "option extra of ssdlite: 8 is not a list of whole numbers"),
        ([*numbers[1:], 1.5], "is not a list of whole numbers"),
        ([*numbers[1:], True], "is not a list of whole numbers"),
        ([*numbers[1:], 0], "is not in 1 to 4096"),
    ):
        with pytest.raises(HeadError, match=re.escape(said)):
            create_detection_head("ssdlite", channels, strides, 3, extra=value)
    with pytest.raises(HeadError, match=re.escape("option first of ssdlite: [3] is not a whole number")):
        create_detection_head("ssdlite", channels, strides, 3, first=[3])
