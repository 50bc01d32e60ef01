"""Downloads that tell soon when there is no network, and never leave half a file where a whole one is looked for."""

import hashlib
import os
import re
import shutil
from collections.abc import Callable
from contextlib import suppress
from http.client import HTTPException
from pathlib import Path
from queue import Empty, SimpleQueue
from threading import Thread
from typing import Any, TypeVar
from urllib.request import build_opener
from uuid import uuid4

import torch
from rich.console import Console
from rich.progress import wrap_file

Result = TypeVar("Result")
WAIT = 6.0  # seconds without any answer after which there is no network
ADVICE = "give its path in place of the weights' name"


def in_time(call: Callable[[], Result], wait: float | None = None) -> Result:
    """The result of a call that a missing network can hold up.

    A name server that does not answer knows no timeout, so the call runs in a thread that is left behind.

    Args:
        call: without arguments.
        wait: seconds, by default `WAIT`.

    Raises:
        TimeoutError: after `wait` seconds.
    """
    wait = WAIT if wait is None else wait
    outcome: SimpleQueue[tuple[Any, Exception | None]] = SimpleQueue()

    def run() -> None:
        try:
            outcome.put((call(), None))
        except Exception as error:
            outcome.put((None, error))

    Thread(target=run, daemon=True).start()
    try:
        result, error = outcome.get(timeout=wait)
    except Empty:
        raise TimeoutError(f"no answer within {wait:g} seconds") from None
    if error is not None:
        raise error
    return result


def one_line(error: Exception) -> str:
    """What an error of a library says first, or its type."""
    return (str(error).splitlines() or [""])[0] or type(error).__name__


def fetch_url(url: str) -> Path:
    """A published weights file, in torch's cache: fetched unless it is there whole.

    It is whole if its SHA-256 begins as the digits in its name do, as in "mobilenet_v2-7ebf99e0.pth".

    Raises:
        ConnectionError: if the download fails, or brings something else than was published.
    """
    path = Path(torch.hub.get_dir(), "checkpoints", url.rpartition("/")[2])
    digits = re.search(r"-([0-9a-f]{8,})\.", path.name)
    begins = digits[1] if digits else ""
    there = path.is_file()
    if there and sha256(path).startswith(begins):
        return path
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        _download(url, path, begins)
    except (OSError, HTTPException) as error:
        raise ConnectionError(
            f"could not fetch {url} ({one_line(error)}); download it elsewhere and put it at {path}"
            f"{', where another file lies than the one published' if there else ''}, or {ADVICE}"
        ) from None
    return path


def _download(url: str, path: Path, begins: str) -> None:
    """Several processes may do so at once: each writes a file of its own and moves it into place when it is whole."""
    unfinished = path.with_name(f".{path.name}.{uuid4().hex}.part")
    console = Console(stderr=True)
    try:
        with in_time(lambda: build_opener().open(url, timeout=WAIT)) as answer, unfinished.open("wb") as file:
            length = int(answer.headers.get("Content-Length") or 0)
            with wrap_file(answer, length, description=path.name, console=console, transient=True) as shown:
                shutil.copyfileobj(shown, file)
        if length and unfinished.stat().st_size != length:
            raise OSError("the connection was cut")
        if not sha256(unfinished).startswith(begins):
            raise OSError("invalid hash value: this is not the published file")
        os.replace(unfinished, path)
    finally:
        unfinished.unlink(missing_ok=True)


def sha256(path: Path) -> str:
    """Of a file's content, in hexadecimal digits."""
    with path.open("rb") as file:
        digest = hashlib.sha256()
        while block := file.read(2**20):
            digest.update(block)
    return digest.hexdigest()


def require_whole(path: Path) -> None:
    """Refuse a file of the hub's cache that is not what the hub announced, and remove it.

    Large files lie there under a name that is their SHA-256, behind a link.

    Raises:
        OSError: if it is something else.
    """
    blob = path.resolve()
    if re.fullmatch(r"[0-9a-f]{64}", blob.name) and sha256(blob) != blob.name:
        for broken in (blob, path):
            with suppress(OSError):
                broken.unlink()
        raise OSError("what came is not what the hub announced")
