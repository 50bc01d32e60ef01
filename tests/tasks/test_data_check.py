"""What is drawn of a data check, and the page around it."""

from html.parser import HTMLParser

import numpy as np
import pytest
import torch
from torchvision.ops import box_iou

from datasets import Finding, Findings, Inspected, Kind, Sample, find_detection
from datasets.detection.inspection import InspectedDetection
from heads import best_iou
from heads.anchors import corners
from tasks.data_check.anchor_coverage import cover_boxes, head_anchors, uncovered
from tasks.data_check.drawing import GREY, MAGENTA, RED, SIDE, draw_sample
from tasks.data_check.html import legible, table, tag
from tasks.data_check.page import DataCheck, page
from tests.datasets.detection.trees import image, mark, write_coco

BLACK = np.zeros((100, 200, 3), dtype=np.uint8)


def coloured(image, colour):
    """Bounds left, top, right, bottom of the pixels of a colour."""
    rows, columns = np.nonzero((image == colour).all(2))
    return columns.min(), rows.min(), columns.max(), rows.max()


def test_marks_are_where_the_box_is():
    drawn = draw_sample(Sample(np.zeros((SIDE, SIDE, 3), np.uint8)), [(100, 50, 200, 300)], [])
    assert drawn.shape == (SIDE, SIDE, 3)
    np.testing.assert_allclose(coloured(drawn, RED), (100, 50, 200, 300), atol=2)


def test_large_images_are_shrunk_and_small_ones_enlarged_in_whole_steps():
    assert draw_sample(Sample(np.zeros((1000, 500, 3), np.uint8)), [], []).shape == (SIDE, SIDE // 2, 3)
    assert draw_sample(Sample(np.zeros((28, 28, 3), np.uint8)), [], []).shape == (336, 336, 3)


def test_a_box_without_area_is_seen():
    left, top, right, bottom = coloured(draw_sample(Sample(BLACK), [(90, 40, 90, 40)], []), RED)
    assert right - left > 20 and bottom - top > 20 and left < 90 < right and top < 40 < bottom


@pytest.mark.parametrize("box", [(210, 20, 260, 60), (-70, 20, 30, 60), (20, 20, 10**7, 60), (20, -(10**7), 60, 50)])
def test_a_box_outside_has_a_rim_to_be_seen_on(box):
    drawn = draw_sample(Sample(BLACK), [box], [])
    assert (drawn == GREY).all(2).any() and (drawn == RED).all(2).sum() > 50
    assert drawn.shape[0] <= 200 and drawn.shape[1] <= 400


def test_inverted_corners_are_drawn_as_the_box_that_they_bound():
    right_way, inverted = (draw_sample(Sample(BLACK), [box], []) for box in ((20, 30, 90, 80), (90, 80, 20, 30)))
    assert np.array_equal(right_way, inverted)


def test_boxes_have_the_colours_of_their_classes():
    sample = Sample(BLACK, None, np.array([[20, 30, 90, 80]], np.float32), np.array([1]))
    np.testing.assert_array_equal(coloured(draw_sample(sample, [], [RED, (0, 90, 0)]), (0, 90, 0)), (20, 30, 89, 79))


@pytest.mark.parametrize("size", [(100, 200), (90, 180)])
def test_masks_lie_beside_their_image_and_show_values_of_no_class(size):
    mask = np.zeros(size, dtype=np.uint8)
    mask[:10, :10] = 9
    drawn = draw_sample(Sample(BLACK, mask), [], [(0, 0, 90), (0, 90, 0)])
    assert drawn.shape == (100, 200 + 6 + size[1], 3)
    assert coloured(drawn[:, 206:], MAGENTA) == (0, 0, 9, 9)


def test_html_is_escaped():
    assert tag("p", '<script>"&', class_='a"b') == '<p class="a&quot;b">&lt;script&gt;&quot;&amp;</p>'
    assert tag("p", tag("b", "<")) == "<p><b>&lt;</b></p>"
    assert table(["<"], [[1234], ["<i>"]]).count("&lt;") == 2
    assert legible("a\x1b[31m\nb\udcffé") == "a\\x1b[31m\\nb\\udcffé"


class Names(HTMLParser):
    """The elements of a page, and whether they close as they should."""

    def __init__(self, content):
        super().__init__()
        self.found, self.open = [], []
        self.feed(content)

    def handle_starttag(self, tag, attrs):
        self.found.append(tag)
        if tag not in ("meta", "img"):
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


def test_page_of_findings_with_hostile_names(tmp_path):
    root = tmp_path / "</title><script>alert(1)</script>"
    split = Inspected(root, "$x^$<script>", ["<b>cat", "é\udcff"], [root / "<img src=x onerror=alert(1)>.jpg"])
    split.columns = {"images": np.array([1, 0])}
    split.sizes[:] = (20, 30)
    findings = Findings(root)
    kind = Kind("error", "something", "Do something.")
    for number in range(3):
        findings.add(Finding(kind, f"{root}/{number}<script>.jpg", split.split, count=5))
    content = page(DataCheck("title <script>", [split, split], findings, (32, 32), {}), drawn=2)
    names = Names(content)
    assert "script" not in names.found and not names.open
    assert "15 errors, 0 warnings, 0 notes" in content
    assert "0&lt;script&gt;.jpg" in content and "onerror" not in content
    content.encode()


def detections(root, *boxes, size=(320, 320)):
    write_coco(root, [image(1, size=size)], [mark(n, 1, 7, box) for n, box in enumerate(boxes)])
    split = InspectedDetection(find_detection("coco", "train", root), size)
    split.sizes[:] = size[::-1]
    return split


@pytest.mark.parametrize("head, options", [("ssdlite", {}), ("ssdlite-torchvision", {"small_objects": True})])
def test_best_iou_by_looking_at_every_pair(head, options):
    anchors = head_anchors(head, options, (160, 320))
    low, sides = torch.rand(200, 2), torch.rand(200, 2) ** 2 + 0.01
    boxes = torch.cat([low, (low + sides).clamp(max=1.2)], dim=1)
    expected = box_iou(boxes, corners(anchors.boxes)).amax(1)
    torch.testing.assert_close(best_iou(anchors, boxes), expected, atol=1e-5, rtol=0)


def test_boxes_that_no_anchor_matches(tmp_path):
    size = (320, 320)
    anchors = head_anchors("ssdlite", {}, size)
    every = corners(anchors.boxes) * 320
    own = every[((every > 0) & (every < 320)).all(1)][99].tolist()
    own_box = [own[0], own[1], own[2] - own[0], own[3] - own[1]]
    split = detections(tmp_path, own_box, [50, 50, 5, 5], [60, 60, 4, 90])
    coverage = cover_boxes(anchors, [split], size)
    assert coverage.missed.tolist() == [False, True, True] and coverage.overlap[0] == pytest.approx(1, abs=1e-4)
    assert coverage.sizes().tolist()[1:] == [0, 2]
    (finding,) = uncovered(coverage, [split])
    assert finding.count == 2 and finding.images == (("train", 0),)
    assert finding.boxes == ((50, 50, 55, 55), (60, 60, 64, 150))
    assert "2 of 3; the worst, dog 5x5 at the input size" in finding.text


def test_no_boxes_at_all(tmp_path):
    coverage = cover_boxes(head_anchors("ssdlite", {}, (64, 64)), [detections(tmp_path)], (64, 64))
    assert coverage.missed.shape == (0,)
    assert list(uncovered(coverage, [])) == []
