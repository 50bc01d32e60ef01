"""Files on the Hugging Face hub, named hf://OWNER/NAME or hf://OWNER/NAME/FILE."""

import json
from pathlib import Path
from typing import Any

from huggingface_hub import hf_hub_download
from huggingface_hub.errors import RemoteEntryNotFoundError, RepositoryNotFoundError

from backbones.tables import BackboneError

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
    return f"{owner}/{name}", file


def fetch(address: str) -> Path:
    """A file on the hub, from the hub's own cache on this computer if it is there; by default model.safetensors.

    Raises:
        BackboneError: for an address of another form.
        FileNotFoundError: if the hub has no such repository or file.
        ConnectionError: if the download fails.
    """
    repository, file = split_address(address)
    try:
        return Path(hf_hub_download(repository, file or WEIGHTS_FILE))
    except RepositoryNotFoundError:
        raise FileNotFoundError(f"{address}: the hub has no such repository, or it is private") from None
    except RemoteEntryNotFoundError:
        raise FileNotFoundError(f"{address}: the repository has no file {file or WEIGHTS_FILE}") from None
    except OSError as error:
        reason = str(error).splitlines()[0]
        raise ConnectionError(f"{address}: could not fetch {file or WEIGHTS_FILE} ({reason})") from None


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
