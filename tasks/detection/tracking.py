"""Boxes that keep an id over the frames of a film, assigned as in ByteTrack (arXiv 2110.06864), and their count."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

from datasets.detection.boxes import box_iou
from tasks.detection.detections import Detections

LOW = 0.1  # boxes with a score above it, too unsure to be drawn, go on with a track that would have none
OVERLAP = {"sure": 0.2, "low": 0.5, "new": 0.3}  # least IoU of a box with a track's, section 3 and the authors' code
CONFIRMED = 3  # frames in a row after which a track gets its id and counts
KEPT = 30  # frames that a track may be out of sight
GAIN = 0.2  # how far a track's velocity follows the last frame's


@dataclass(eq=False)
class Track:
    """One object over the frames.

    Attributes:
        box: float64 [4], corners in pixels: as last seen, moved on by the velocity since.
        label: index of its class.
        velocity: float64 [2], of the box's centre in pixels a frame.
        seen: in how many frames.
        lost: for how many frames it is out of sight.
        id: 1 for the first one confirmed, 2 for the second, of whatever class; None before that.
    """

    box: NDArray[np.float64]
    label: int
    velocity: NDArray[np.float64] = field(default_factory=lambda: np.zeros(2))
    seen: int = 1
    lost: int = 0
    id: int | None = None

    def move(self) -> None:
        """On to the next frame."""
        self.box = self.box + np.tile(self.velocity, 2)

    def see(self, box: NDArray[np.float32]) -> None:
        """Take a box of this frame."""
        ahead = (box - self.box).reshape(2, 2).mean(0)
        # a velocity of constant gain, where ByteTrack has a Kalman filter, whose noise would have to be chosen too
        self.velocity = self.velocity + GAIN * ahead / (self.lost + 1)
        self.box = box.astype(np.float64)
        self.seen, self.lost = self.seen + 1, 0


class Tracker:
    """Follows the boxes of one film.

    Tracks take boxes of their class by the largest sum of IoU: confirmed ones take boxes above the score threshold
    first, those still in sight then boxes below it, and tracks that are not confirmed yet what is left above it.
    Boxes that nobody takes begin tracks.

    Args:
        score_threshold: boxes with a score above it begin tracks.
        keep: whether all boxes are kept for `summary`.

    Attributes:
        low: the score above which boxes should be given to `update`.
        counts: how many tracks of each class have been confirmed, by label.
    """

    def __init__(self, score_threshold: float, keep: bool = False) -> None:
        self.score_threshold, self.low = score_threshold, min(LOW, score_threshold)
        self.counts: Counter[int] = Counter()
        self._tracks: list[Track] = []
        self._frames: list[tuple[list[Track | None], Detections]] | None = [] if keep else None

    def update(self, found: Detections) -> list[Track | None]:
        """The track of each detection of the next frame; None for an unsure one that goes on with none."""
        taken: list[Track | None] = [None] * len(found.scores)
        for track in self._tracks:
            track.move()
        above = found.scores > self.score_threshold
        sure, low = np.flatnonzero(above), np.flatnonzero(~above)
        confirmed = [track for track in self._tracks if track.id is not None]
        sure = self._assign(confirmed, found, sure, taken, "sure")
        in_sight = [track for track in confirmed if track.lost == 0 and track not in taken]
        self._assign(in_sight, found, low, taken, "low")
        sure = self._assign([track for track in self._tracks if track.id is None], found, sure, taken, "new")
        for index in sure.tolist():
            taken[index] = Track(found.boxes[index].astype(np.float64), int(found.labels[index]))
        self._settle(taken)
        if self._frames is not None:
            self._frames.append((taken, found))
        return taken

    @staticmethod
    def _assign(
        tracks: list[Track], found: Detections, free: NDArray[np.intp], taken: list[Track | None], which: str
    ) -> NDArray[np.intp]:
        """Give tracks boxes among the free ones, into `taken`; which are still free."""
        if not tracks or not len(free):
            return free
        overlap = box_iou(np.stack([track.box for track in tracks])[:, None], found.boxes[free])
        same = np.array([track.label for track in tracks])[:, None] == found.labels[free]
        overlap = np.where(same & (overlap >= OVERLAP[which]), overlap, 0)
        rows, columns = linear_sum_assignment(-overlap)
        pairs = [(row, column) for row, column in zip(rows, columns, strict=True) if overlap[row, column] > 0]
        for row, column in pairs:
            tracks[row].see(found.boxes[free[column]])
            taken[free[column]] = tracks[row]
        return np.delete(free, [column for _, column in pairs])

    def _settle(self, taken: list[Track | None]) -> None:
        """Confirm tracks and count them; let go of those lost for too long, or before they were confirmed."""
        seen = [track for track in taken if track is not None]
        for track in seen:
            if track.id is None and track.seen >= CONFIRMED:
                self.counts[track.label] += 1
                track.id = self.counts.total()
        unseen = [track for track in self._tracks if track not in seen]
        for track in unseen:
            track.lost += 1
        self._tracks = seen + [track for track in unseen if track.id is not None and track.lost <= KEPT]

    def summary(self, names: Sequence[str]) -> dict[str, Any]:
        """For JSON: counts of the classes that occurred and, where they are kept, all boxes of counted tracks."""
        boxes = [
            {"frame": frame, "id": track.id, **one}
            for frame, (tracks, found) in enumerate(self._frames or [])
            for track, one in zip(tracks, found.described(names), strict=True)
            if track is not None and track.id is not None
        ]
        return {"counts": {names[label]: self.counts[label] for label in sorted(self.counts)}, "boxes": boxes}
