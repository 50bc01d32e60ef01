"""What is seen in an image, as an object for Python: it knows its classes, draws itself and writes itself down."""

import io
import json
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Sequence
from os import PathLike
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from PIL import Image as Pillow

from datasets import read_image
from datasets.faults import one_line
from datasets.images import from_pillow
from tasks.errors import TaskError
from tasks.prediction import Shown
from tasks.writing import whole

Image = NDArray[np.uint8]
Given = str | PathLike[str] | Pillow.Image | Image
WIDEST = 960  # pixels of a side that a notebook shows


def read_given(images: Given | Iterable[Given]) -> Iterator[tuple[str | None, Image]]:
    """The name of each image, where it has one, and its pixels, uint8 [H, W, 3] RGB, which are nobody else's.

    Args:
        images: one, or several: a path, an image of Pillow's, or uint8 [H, W, 3] RGB; or uint8 [N, H, W, 3].

    Raises:
        DataError: for one that cannot be read.
        TaskError: for what is no image.
    """
    single = isinstance(images, str) or not isinstance(images, Iterable)
    if single or (isinstance(images, np.ndarray) and images.ndim != 4):
        images = [images]  # type: ignore[list-item]
    for number, image in enumerate(images):  # type: ignore[arg-type]
        yield _read(image, f"image {number}")


def _read(image: Any, place: str) -> tuple[str | None, Image]:
    if isinstance(image, str | PathLike):
        return str(image), read_image(Path(image))
    if isinstance(image, Pillow.Image):
        name = getattr(image, "filename", "") or None
        return name, from_pillow(image, name or place)
    if isinstance(image, np.ndarray) and image.dtype == np.uint8 and image.shape[2:] == (3,) and image.size:
        return None, image.copy()
    what = f"{image.dtype} {list(image.shape)}" if isinstance(image, np.ndarray) else f"of type {type(image).__name__}"
    raise TaskError(f"{place} is {what}; give a path, an image of Pillow's, or an array uint8 [H, W, 3] in RGB")


class Result(ABC):
    """What is seen in one image.

    Attributes:
        file: the image's, where it has one.
        size: height and width of the image.
        names: class names.
        colours: (red, green, blue) of every class.
        found: what `predict` returned for the image.

    Args:
        spec: of the predictor.
        shown: what the tool predict would write.
        size: as above.
        file: likewise.
    """

    columns: ClassVar[tuple[str, ...]]  # of the data frame

    def __init__(self, spec: Any, shown: Shown, size: tuple[int, int], file: str | None) -> None:
        self.names, self.colours, self.found = spec.names, spec.colours, shown.found
        self.size, self.file, self._shown = size, file, shown

    @abstractmethod
    def summary(self) -> str:
        """Classes and how much there is of them, in words."""

    @abstractmethod
    def rows(self) -> list[dict[str, Any]]:
        """Plain values, by column."""

    @abstractmethod
    def to_coco(self, image_id: int | str, category_ids: Sequence[int] | None = None) -> list[dict[str, Any]]:
        """COCO results: plain values, which `json.dumps` takes.

        Args:
            image_id: of the image in the annotations.
            category_ids: of every class in them. By default 1 to n for boxes, and the indices in a mask.

        Raises:
            TaskError: for other than one id a class, or a result that COCO has no form for.
        """

    def plot(self) -> Image:
        """The image as the tool predict draws it, uint8 [H, W, 3] RGB; below a mask is a legend."""
        return self._shown.drawing.copy()

    def save(self, path: str | Path) -> Path:
        """Write `plot()` as PNG, JPEG or whatever the path's suffix says; whole, or not at all.

        A mask itself is written by `datasets.write_mask(path, result.mask, result.colours)`.

        Raises:
            TaskError: if the file cannot be written.
        """
        path = Path(path)
        with whole(path) as unfinished:
            try:
                Pillow.fromarray(self._shown.drawing).save(unfinished, quality=95)  # of a JPEG
            except ValueError:
                raise TaskError(f"{path}: no image is written as {path.suffix or 'a file without suffix'}") from None
        return path

    def to_json(self) -> str:
        """As in NAME.json of the tool predict."""
        height, width = self.size
        return json.dumps({"file": self.file, "height": height, "width": width, **self._shown.description}, indent=1)

    def to_dataframe(self) -> Any:
        """A pandas.DataFrame of `columns`, a row a class of a mask, a box, or a class with its probability.

        Raises:
            TaskError: if pandas is not installed.
        """
        try:
            import pandas
        except ImportError:
            raise TaskError("to_dataframe needs pandas, which is not installed: pip install pandas") from None
        return pandas.DataFrame(self.rows(), columns=[*self.columns])

    def __repr__(self) -> str:
        height, width = self.size
        return f"{one_line(self.file or 'image')}, {width}x{height}: {self.summary()}"

    def _repr_png_(self) -> bytes:
        """What a notebook shows."""
        picture, content = Pillow.fromarray(self._shown.drawing), io.BytesIO()
        picture.thumbnail((WIDEST, WIDEST))
        picture.save(content, "PNG")
        return content.getvalue()


def require_ids(category_ids: Sequence[int] | None, names: Sequence[str], first: int) -> Sequence[int]:
    """The ids of classes, by default counted from the first.

    Raises:
        TaskError: for other than one a class.
    """
    ids = range(first, first + len(names)) if category_ids is None else category_ids
    if len(ids) != len(names):
        raise TaskError(f"category_ids has {len(ids)} ids for {len(names)} classes: {', '.join(names)}")
    return ids
