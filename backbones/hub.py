"""Files on the Hugging Face hub, named hf://OWNER/NAME or hf://OWNER/NAME/FILE, and @REVISION behind NAME."""

import json
import re
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

from huggingface_hub import get_hf_file_metadata, hf_hub_download, hf_hub_url, try_to_load_from_cache
from huggingface_hub.errors import (
    HFValidationError,
    RemoteEntryNotFoundError,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)
from huggingface_hub.utils import logging, validate_repo_id

from backbones.tables import BackboneError
from backbones.weights_download import ADVICE, WAIT, in_time, one_line, require_whole

HUB = "hf://"
WEIGHTS_FILE, TABLE_FILE, CONFIG_FILE = "model.safetensors", "table.json", "config.json"
# a revision is a branch, a tag, a commit, or refs/pr/1
ADDRESS = re.compile(r"([^/@]+)/([^/@]+)(?:@(refs/[^/]+/[^/]+|[^/]+))?(?:/(.*))?")
COMMIT = re.compile(r"[0-9a-f]{40}")


class NoSuchFileError(FileNotFoundError):
    """A repository is there, and has no file of a name."""


class Address(NamedTuple):
    """What hf://OWNER/NAME@REVISION/FILE names.

    Attributes:
        repository: OWNER/NAME.
        revision: empty if it was not given, which is the newest.
        file: likewise.
    """

    repository: str
    revision: str
    file: str

    def of(self, file: str) -> str:
        """The address of a file of the same repository and revision; for "", of the repository."""
        revision = f"@{self.revision}" if self.revision else ""
        return f"{HUB}{self.repository}{revision}{f'/{file}' if file else ''}"


def split_address(address: str) -> Address:
    """The parts of an address.

    Raises:
        BackboneError: for an address of another form.
    """
    found = ADDRESS.fullmatch(address.removeprefix(HUB))
    if found is None:
        raise BackboneError(f"{address}: write {HUB}OWNER/NAME, or {HUB}OWNER/NAME/FILE, and @REVISION behind NAME")
    owner, name, revision, file = found.groups("")
    try:
        validate_repo_id(f"{owner}/{name}")
    except HFValidationError as error:
        raise BackboneError(f"{address}: {one_line(error)}") from None
    return Address(f"{owner}/{name}", revision, file)


def fetch(address: str, advice: str = "") -> Path:
    """A file on the hub, from the hub's own cache on this computer if it is there; by default model.safetensors.

    Args:
        address: of the file.
        advice: what to do where it cannot be downloaded; by default what is right for start weights.

    Raises:
        BackboneError: for an address of another form.
        FileNotFoundError: if the hub has no such repository or revision.
        NoSuchFileError: if the repository has no such file.
        ConnectionError: if the download fails.
    """
    repository, revision, file = split_address(address)
    file = file or WEIGHTS_FILE
    url = hf_hub_url(repository, file, revision=revision or None)
    verbosity = logging.get_verbosity()
    logging.set_verbosity_error()  # it writes a line for every attempt
    try:
        path = _fetch(repository, revision or None, file, url)
        if path is not None:
            require_whole(path)
            return path
    except RevisionNotFoundError:
        raise FileNotFoundError(f"{address}: the repository has no revision {revision}") from None
    except RepositoryNotFoundError:
        raise FileNotFoundError(
            f"{address}: the hub has no such repository, or it is private and needs a login (hf auth login)"
        ) from None
    except Exception as error:  # the library lets those of its HTTP client pass, of which there are several kinds
        advice = advice or f"download {url} elsewhere and {ADVICE}"
        raise ConnectionError(f"{address}: could not fetch {file} ({one_line(error)}); {advice}") from None
    finally:
        logging.set_verbosity(verbosity)
    raise NoSuchFileError(f"{address}: the repository has no file {file}")


def _fetch(repository: str, revision: str | None, file: str, url: str) -> Path | None:
    """The file in the library's cache, or None if the repository has no such file.

    The hub is asked for it first, since the library would go on asking for a minute where there is no network; but not
    for a file of a commit, which never changes.
    """
    held = try_to_load_from_cache(repository, file, revision=revision)
    if isinstance(held, str) and COMMIT.fullmatch(revision or ""):
        return Path(held)
    try:
        in_time(lambda: get_hf_file_metadata(url, timeout=WAIT))
    except (RepositoryNotFoundError, RevisionNotFoundError):
        raise
    except RemoteEntryNotFoundError:
        with suppress(RemoteEntryNotFoundError):
            hf_hub_download(repository, file, revision=revision)  # which notes it, for when there is no network
        return None
    except Exception:
        if held is None:
            raise
        return Path(held) if isinstance(held, str) else None
    return Path(hf_hub_download(repository, file, revision=revision))


def cached_commit(address: str) -> str:
    """The commit that a file in the hub's cache on this computer is of; empty if it is not there."""
    repository, revision, file = split_address(address)
    held = try_to_load_from_cache(repository, file or WEIGHTS_FILE, revision=revision or None)
    found = [part for part in Path(held).parts if COMMIT.fullmatch(part)] if isinstance(held, str) else []
    return found[0] if found else ""


def fetch_table(address: str) -> dict[str, Any]:
    """The table of the backbone that a repository has, alone or in a whole task, as its `to_dict` wrote it.

    Raises:
        BackboneError: for an address of another form, or a file that is no table.
        FileNotFoundError: if the hub has no such repository, or it holds no table.
        ConnectionError: if the download fails.
    """
    where = split_address(address)
    try:
        return _read_json(fetch(where.of(TABLE_FILE)), address)
    except NoSuchFileError:
        with suppress(NoSuchFileError):
            table = _read_json(fetch(where.of(CONFIG_FILE)), address).get("table")
            if isinstance(table, dict):
                return table
        raise


def _read_json(path: Path, address: str) -> dict[str, Any]:
    try:
        return dict(json.loads(path.read_text(encoding="utf-8")))
    except (ValueError, TypeError):
        raise BackboneError(f"{address}: {path.name} is no backbone's table") from None
