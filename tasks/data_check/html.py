"""HTML that is escaped by construction, as files and classes may have any name."""

import base64
import html
from collections.abc import Iterable, Sequence
from typing import Any

import cv2

from tasks.drawing import Image


class Html(str):
    """Text that is HTML already."""


def legible(text: str) -> str:
    """Text without what cannot be printed: control characters and bytes that are no UTF-8 become escapes."""
    return "".join(sign if sign.isprintable() else sign.encode("unicode_escape").decode() for sign in text)


def tag(name: str, *children: Any, **attributes: Any) -> Html:
    """An element; children and attributes that are not `Html` are escaped. `class_` stands for class."""
    given = "".join(f' {key.rstrip("_")}="{_escaped(value)}"' for key, value in attributes.items())
    return Html(f"<{name}{given}>{''.join(map(_escaped, children))}</{name}>")


def _escaped(value: Any) -> str:
    return value if isinstance(value, Html) else html.escape(legible(str(value)))


def table(head: Sequence[Any], rows: Iterable[Sequence[Any]]) -> Html:
    """A table; numbers are set to the right."""

    def cell(name: str, value: Any) -> Html:
        if isinstance(value, int | float):
            return tag(name, f"{value:,}", class_="number")
        return tag(name, value)

    lines = [tag("tr", *(cell("td", value) for value in row)) for row in rows]
    return tag("table", tag("thead", tag("tr", *(tag("th", value) for value in head))), tag("tbody", *lines))


def figure(images: Sequence[Image], caption: str) -> Html:
    """Images, uint8 [H, W, 3] RGB, with a line below."""
    return tag("figure", *map(img, images), tag("figcaption", caption))


def img(image: Image | bytes) -> Html:
    """An image, uint8 [H, W, 3] RGB, or the bytes of a PNG, held by the page itself."""
    if isinstance(image, bytes):
        kind, content = "png", image
    else:
        bgr = cv2.cvtColor(image, cv2.COLOR_RGB2BGR)
        kind, content = "jpeg", cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, 88])[1].tobytes()
    return Html(f'<img alt="" src="data:image/{kind};base64,{base64.b64encode(content).decode()}">')
