"""Images of detections for people: boxes drawn into an image, and precision over recall."""

import colorsys
from collections.abc import Iterable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from tasks.detection.detections import Detections
from tasks.detection.metrics import Curve
from tasks.detection.thresholds import GRID, MEASURES, Thresholds, shown_above
from tasks.detection.tracking import Tracker
from tasks.drawing import COLUMNS, Colours, Image, batch_images, fit, grid, sheet, write_plot
from tasks.options import Prediction
from tasks.prediction import Show, Shown

FONT = cv2.FONT_HERSHEY_SIMPLEX
LINES = 12  # more curves than this cannot be told apart
GREY = (60, 60, 60)  # of what is no box's


def draw_boxes(
    image: Image,
    boxes: NDArray[np.float32],
    labels: NDArray[np.int64],
    names: Sequence[str],
    colours: Colours,
    scores: NDArray[np.float32] | None = None,
    most: int | None = None,
) -> Image:
    """A copy of an image with boxes in it, and with their names above them or, at the upper edge, inside.

    Where `most` leaves some out, the lower edge says how many.

    Args:
        image: uint8 [H, W, 3] RGB.
        boxes: [n, 4], corners x1, y1, x2, y2 in pixels; the first lies on top. What is outside is cut off.
        labels: [n], indices into names and colours.
        names: class names.
        colours: class colours.
        scores: [n], from 0 to 1, written behind the names in percent.
        most: how many are drawn at most, the first ones.

    Returns:
        uint8 [H, W, 3] RGB.
    """
    drawn = np.ascontiguousarray(image).copy()
    height, width = drawn.shape[:2]
    thickness = max(1, round(_side(drawn) / 300))
    corners = np.round(boxes[:most] - (0, 0, 1, 1)).clip(0, (width - 1, height - 1) * 2).astype(int)
    for (left, top, right, bottom), label in zip(corners[::-1].tolist(), labels[:most][::-1], strict=True):
        cv2.rectangle(drawn, (left, top), (right, bottom), colours[label], thickness)
    for index in reversed(range(len(corners))):
        name = names[labels[index]]
        text = name if scores is None else f"{name} {100 * scores[index]:.0f}"
        _write(drawn, text, int(corners[index, 0]), int(corners[index, 1]), colours[labels[index]])
    if len(corners) < len(boxes):
        _write(drawn, f"{len(corners)} of {len(boxes)} boxes", 0, height, GREY)
    return drawn


def _side(image: Image) -> int:
    """What lines and letters are measured by: the longer side, but of a strip no more than it is high."""
    return min(max(image.shape[:2]), 4 * min(image.shape[:2]))


def _write(drawn: Image, text: str, left: int, top: int, colour: tuple[int, int, int]) -> int:
    """Text on a plate of a colour, standing on (left, top), moved into the image, cut if that is too narrow.

    Returns:
        Where the plate begins from above.
    """
    width = drawn.shape[1]
    scale = max(0.35, _side(drawn) / 1400)
    ink = max(1, round(1.5 * scale))
    while len(text) > 1 and cv2.getTextSize(text, FONT, scale, ink)[0][0] + 4 > width:
        text = text[:-1]
    (across, above), below = cv2.getTextSize(text, FONT, scale, ink)
    plate = above + below + 2
    left, top = max(0, min(left, width - across - 4)), max(0, top - plate)
    cv2.rectangle(drawn, (left, top), (left + across + 3, top + plate - 1), colour, -1)
    light = np.dot(colour, (0.299, 0.587, 0.114)) > 140
    place = (left + 2, top + above + 1)
    cv2.putText(drawn, text, place, FONT, scale, (0, 0, 0) if light else (255, 255, 255), ink, cv2.LINE_AA)
    return top


class BoxDrawing:
    """The best boxes drawn into images; with `track`, into those of one film, with ids in colours of their own.

    A box whose track is not confirmed yet has no id and its class's colour. How many tracks of each class there were
    stands in the lower right corner.

    Args:
        names: of the classes.
        colours: of them.
        options: how it is drawn.
        threshold: of the score, above which boxes are drawn.

    Attributes:
        score_threshold: above which boxes are to be predicted; with `track` some that are too unsure to be drawn.
        tracks: `Tracker.summary` of the film so far; None without `track`.
    """

    def __init__(self, names: Sequence[str], colours: Colours, options: Prediction, threshold: float) -> None:
        self.names, self.colours, self.options, self.threshold = names, colours, options, threshold
        self.tracker = Tracker(threshold, keep=options.json) if options.track else None
        self.score_threshold = threshold if self.tracker is None else self.tracker.low
        self.tracks = None if self.tracker is None else partial(self.tracker.summary, names)

    def __call__(self, image: Image, found: Detections) -> Image:
        """A copy of an image with boxes, see `draw_boxes`."""
        names, colours, most = self.names, self.colours, self.options.max_drawn
        if self.tracker is None:
            return draw_boxes(image, found.boxes, found.labels, names, colours, found.scores, most)
        tracks = self.tracker.update(found)
        ids = [None if track is None else track.id for track in tracks]
        named = [(names[label], colours[label]) for label in found.labels]
        named = [
            (f"{name} #{id}", _colour(id)) if id else (name, own) for id, (name, own) in zip(ids, named, strict=True)
        ]
        sure = np.flatnonzero(found.scores > self.threshold)
        texts, own = zip(*named, strict=True) if named else ((), ())
        drawn = draw_boxes(image, found.boxes[sure], sure, texts, own, found.scores[sure], most)
        top = len(drawn)
        for label, count in reversed(self.tracker.counts.most_common()):
            top = _write(drawn, f"{names[label]} {count}", drawn.shape[1], top, GREY)
        return drawn


def _colour(id: int) -> tuple[int, int, int]:
    """Of a track: hues of successive ids are far apart, by the golden ratio."""
    red, green, blue = (round(255 * value) for value in colorsys.hsv_to_rgb(0.618034 * id % 1, 0.8, 0.95))
    return red, green, blue


def plot_precision_recall(
    curves: Sequence[Curve], average_precision: NDArray[np.float64], names: Sequence[str], path: Path, title: str
) -> None:
    """Write precision over recall as an image: every class, or the mean and the lowest if there are many.

    Args:
        curves: recall and precision of every class, as `CocoScores` and `VocScores` have them.
        average_precision: of every class, for the legend; classes with nan are left out.
        names: class names.
        path: the file.
        title: above the plot.

    Raises:
        TaskError: if the file cannot be written.
    """
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    figure, axes = plt.subplots(figsize=(8, 6))
    valid = np.flatnonzero(~np.isnan(average_precision))
    if len(valid) > LINES:
        recall = np.linspace(0, 1, 101)
        mean = np.mean([_envelope(curves[index], recall) for index in valid.tolist()], axis=0)
        label = f"mean of {len(valid)} classes {100 * average_precision[valid].mean():.1f}"
        axes.plot(recall, mean, color="black", linewidth=2.5, label=label)
    lowest = valid[np.argsort(average_precision[valid], kind="stable")[:LINES]]
    for index, shade in zip(sorted(lowest), plt.colormaps["tab20"].colors, strict=False):  # type: ignore[attr-defined]
        axes.plot(*curves[index], color=shade, label=f"{names[index]} {100 * average_precision[index]:.1f}")
    axes.set(xlim=(0, 1.01), ylim=(0, 1.02), xlabel="recall", ylabel="precision", title=title)
    axes.grid(alpha=0.3)
    if len(valid):
        axes.legend(loc="upper left", bbox_to_anchor=(1.01, 1), title="AP %", frameon=False)
    write_plot(path, figure)


def plot_thresholds(found: Thresholds, names: Sequence[str], path: Path) -> None:
    """Write precision, recall and F1 over the score threshold, means over classes, as an image.

    F1 of every class lies behind in a thin line, unless there are too many to be told apart.

    Args:
        found: what is drawn.
        names: class names.
        path: the file.

    Raises:
        TaskError: if the file cannot be written.
    """
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    figure, axes = plt.subplots(figsize=(8, 6))
    classes = found.objects
    single, means = [], []
    if len(classes) <= LINES:
        for index, shade in zip(classes, plt.colormaps["tab20"].colors, strict=False):  # type: ignore[attr-defined]
            single += axes.plot(GRID, found.f1[index], color=shade, linewidth=1, label=f"F1 {names[index]}")
    for name, colour in zip(MEASURES, ("#2a6fbb", "#d62728", "black"), strict=True):
        values = getattr(found, name.lower())[classes]
        known = ~np.isnan(values).all(0)
        mean = np.nanmean(values[:, known], 0) if known.any() else GRID[known]
        means += axes.plot(GRID[known], mean, color=colour, linewidth=2.5, label=f"mean {name}")
    best = found.best
    title = "Precision, recall and F1 at IoU 0.5 (VOC's rule)"
    if best is not None:
        told = ", ".join(f"{name} {100 * mean:.1f}" for name, mean in found.at(best).items())
        title += f"\nbest threshold {best:.2f}: {told} %"
        axes.axvline(best, color="black", linestyle=":")
    axes.set(xlim=(0, 1), ylim=(0, 1.02), xlabel="score threshold", title=title)
    axes.grid(alpha=0.3)
    legend = axes.legend(handles=means + single, loc="upper left", bbox_to_anchor=(1.01, 1), frameon=False)
    for text in legend.get_texts():
        text.set_parse_math(False)  # a class may have any name
    write_plot(path, figure)


def _envelope(curve: Curve, recall: NDArray[np.float64]) -> NDArray[np.float64]:
    """The highest precision at each recall or beyond, 0 where the curve does not reach."""
    reached = curve[0] >= recall[:, None]
    return np.where(reached, curve[1], 0).max(1, initial=0)


def show_boxes(predictor: Any, options: Prediction) -> Show:
    """Images with the best boxes drawn whose score is above a threshold, see `BoxDrawing`; all are described."""
    names = predictor.spec.names
    draw = BoxDrawing(names, predictor.spec.colours, options, shown_above(options.score_threshold, predictor.spec))

    def show(image: Image) -> Shown:
        found = predictor.predict([image], score_threshold=draw.score_threshold)[0]
        description = {"objects": found.described(names)}
        return Shown("boxes", draw(image, found), description, tracks=draw.tracks, found=found)

    return show


SHOWN = 0.3  # detections below this score are not drawn


def draw_rows(samples: Iterable[tuple[Image, Any, Any, Detections]], names: Sequence[str], colours: Colours) -> Image:
    """Input, truth, and the detections from a score of `SHOWN` up, a row a sample, with a legend of their classes.

    Args:
        samples: image, true boxes and labels, and detections of each, one at least.
        names: class names.
        colours: class colours.
    """
    rows, shown, most = [], set[int](), Prediction.max_drawn
    for image, boxes, labels, found in samples:
        sure = found.scores >= SHOWN
        drawn = draw_boxes(image, found.boxes[sure], found.labels[sure], names, colours, found.scores[sure], most)
        rows.append([fit(image), fit(draw_boxes(image, boxes, labels, names, colours, most=most)), fit(drawn)])
        shown |= {*labels[:most].tolist(), *found.labels[sure][:most].tolist()}
    return grid(rows, COLUMNS, [names[label] for label in sorted(shown)], [colours[label] for label in sorted(shown)])


def draw_detections(predictor: Any, samples: Sequence[dict[str, Any]]) -> Image:
    """Input, truth and prediction of detection samples, a row each."""
    found = (predictor.predict([sample["image"]])[0] for sample in samples)
    rows = ((s["image"], s["boxes"], s["labels"], own) for s, own in zip(samples, found, strict=True))
    return draw_rows(rows, predictor.spec.names, predictor.spec.colours)


def draw_box_batch(spec: Any, batch: dict[str, Any]) -> Image:
    """See `Wing.draw_batch`."""
    return sheet(boxed_images(batch_images(batch), batch, spec.names, spec.colours), spec.names, spec.colours)


def boxed_images(images: list[Image], batch: dict[str, Any], names: Sequence[str], colours: Colours) -> list[Image]:
    """The first images of a training batch with the batch's boxes in them."""
    boxes, labels = (batch[name][: len(images)].cpu().numpy() for name in ("boxes", "labels"))
    corners = boxes * np.tile(images[0].shape[1::-1], 2)
    rows = (
        (image, box[label >= 0], label[label >= 0]) for image, box, label in zip(images, corners, labels, strict=True)
    )
    return [draw_boxes(image, box, label, names, colours) for image, box, label in rows]
