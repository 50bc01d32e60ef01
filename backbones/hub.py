"""Files on the Hugging Face hub, named hf://OWNER/NAME or hf://OWNER/NAME/FILE."""

import json
from contextlib import suppress
from pathlib import Path
from typing import Any

from huggingface_hub import get_hf_file_metadata, hf_hub_download, hf_hub_url, try_to_load_from_cache
from huggingface_hub.errors import HFValidationError, RemoteEntryNotFoundError, RepositoryNotFoundError
from huggingface_hub.utils import logging, validate_repo_id

from backbones.tables import BackboneError
from backbones.weights_download import ADVICE, WAIT, in_time, one_line, require_whole

HUB = "hf://"
WEIGHTS_FILE, TABLE_FILE = "model.safetensors", "table.json"


def split_address(address: str) -> tuple[str, str]:
    """OWNER/NAME and FILE, which is empty if it was not given.

    Raises:
        BackboneError: for an address of another form.
    """
    owner, _, rest = address.removeprefix(HUB).partition("/")
    name, _, file = rest.partition("/")
    if not owner or not name:
        raise BackboneError(f"{address}: write {HUB}OWNER/NAME, or {HUB}OWNER/NAME/FILE")
    try:
        validate_repo_id(f"{owner}/{name}")
    except HFValidationError as error:
        raise BackboneError(f"{address}: {one_line(error)}") from None
    return f"{owner}/{name}", file


def fetch(address: str) -> Path:
    """A file on the hub, from the hub's own cache on this computer if it is there; by default model.safetensors.

    Raises:
        BackboneError: for an address of another form.
        FileNotFoundError: if the hub has no such repository or file.
        ConnectionError: if the download fails.
    """
    repository, file = split_address(address)
    file = file or WEIGHTS_FILE
    url = hf_hub_url(repository, file)
    verbosity = logging.get_verbosity()
    logging.set_verbosity_error()  # it writes a line for every attempt
    try:
        path = _fetch(repository, file, url)
        if path is not None:
            require_whole(path)
            return path
    except RepositoryNotFoundError:
        raise FileNotFoundError(f"{address}: the hub has no such repository, or it is private") from None
    except Exception as error:  # the library lets those of its HTTP client pass, of which there are several kinds
        raise ConnectionError(
            f"{address}: could not fetch {file} ({one_line(error)}); download {url} elsewhere and {ADVICE}"
        ) from None
    finally:
        logging.set_verbosity(verbosity)
    raise FileNotFoundError(f"{address}: the repository has no file {file}")


def _fetch(repository: str, file: str, url: str) -> Path | None:
    """The file in the library's cache, or None if the repository has no such file.

    The hub is asked for it first, since the library would go on asking for a minute where there is no network.
    """
    try:
        in_time(lambda: get_hf_file_metadata(url, timeout=WAIT))
    except RepositoryNotFoundError:
        raise
    except RemoteEntryNotFoundError:
        with suppress(RemoteEntryNotFoundError):
            hf_hub_download(repository, file)  # which notes it, for when there is no network
        return None
    except Exception:
        held = try_to_load_from_cache(repository, file)
        if held is None:
            raise
        return Path(held) if isinstance(held, str) else None
    return Path(hf_hub_download(repository, file))


def fetch_table(address: str) -> dict[str, Any]:
    """The table that stands beside a backbone's weights on the hub, as its `to_dict` wrote it.

    Raises:
        BackboneError: for an address of another form, or a file that is no table.
        FileNotFoundError: if the hub has no such repository, or it holds no table.
        ConnectionError: if the download fails.
    """
    path = fetch(f"{HUB}{split_address(address)[0]}/{TABLE_FILE}")
    try:
        return dict(json.loads(path.read_text(encoding="utf-8")))
    except (ValueError, TypeError):
        raise BackboneError(f"{address}: {TABLE_FILE} is no backbone's table") from None
