"""Checkpoints that are elsewhere, wherever a file is taken: hf://OWNER/NAME, with @REVISION behind it or not, on the
Hugging Face hub, and torchvision:NAME.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from safetensors import safe_open

from backbones.hub import CONFIG_FILE, HUB, WEIGHTS_FILE, Address, NoSuchFileError, cached_commit, fetch, split_address
from backbones.weights_files import DESCRIPTION
from datasets.faults import did_you_mean
from tasks.errors import OF_TORCHVISION, ON_HUB, CheckpointError

SAFE = ".safetensors"
WITHOUT_BESIDE: Mapping[str, str] = {SAFE: ""}


def hub_address(path: str | Path) -> str | None:
    """The address on the hub that a path is, which has lost one of its two slashes in it; None for other paths."""
    text = str(path)
    if text.startswith(HUB) or Path(path).parts[:1] == (ON_HUB,):
        return HUB + text.removeprefix(ON_HUB).lstrip("/")
    return None


def torchvisions(path: str | Path) -> str | None:
    """The name of a network of torchvision's that a path is; None for other paths."""
    text = str(path)
    return text.removeprefix(OF_TORCHVISION) if text.startswith(OF_TORCHVISION) else None


def is_elsewhere(path: str | Path) -> bool:
    """Whether a checkpoint is on the hub or torchvision's, as its name says: no file of that name is here."""
    return hub_address(path) is not None or torchvisions(path) is not None


def local_checkpoint(path: str | Path, beside: Mapping[str, str] = WITHOUT_BESIDE) -> Path:
    """The file that a checkpoint is: `path` itself, or what it names on the hub, in the hub's cache on this computer.

    Tells the commit that it is of, which names the same weights for ever. Nothing but safetensors, and what `beside`
    has, is taken from the hub.

    Args:
        path: a file, hf://OWNER/NAME for the task in a repository, hf://OWNER/NAME/FILE, or torchvision:NAME.
        beside: the suffix of each kind of file that is taken -> that of a file that lies beside it, or "".

    Raises:
        BackboneError: for an address of another form.
        CheckpointError: if the repository holds no task of ours, or the file is of a kind that is not taken.
        FileNotFoundError: if the hub has no such repository or file.
        ConnectionError: if the download fails.
    """
    name = torchvisions(path)
    if name is not None:
        from tasks.torchvision_checkpoints import NETWORKS, torchvision_checkpoint  # which need tasks themselves

        if name not in NETWORKS:
            hint = f"{did_you_mean(name, [*NETWORKS])} (there are {', '.join(NETWORKS)})"
            raise CheckpointError(f'{path}: torchvision has no trained dense network "{name}" on MobileNetV3{hint}')
        return torchvision_checkpoint(name)
    address = hub_address(path)
    if address is None:
        return Path(path)
    where = split_address(address)
    suffix = Path(where.file).suffix
    if where.file and suffix not in beside:
        raise CheckpointError(f"{address}: files from the hub end in {', '.join(beside)}; others could run programs")
    first = _fetch(where, where.file or CONFIG_FILE)
    where = where._replace(revision=cached_commit(where.of(where.file or CONFIG_FILE)))
    if not where.file:
        path = _fetch_task(where, first)
    else:
        path = first
        if beside[suffix]:
            _fetch(where, str(Path(where.file).with_suffix(beside[suffix])))
    print(f"{where.of(where.file)}")
    return path


def _fetch_task(where: Address, config: Path) -> Path:
    """The weights of a repository, once it is known that they and its config.json are of one task of ours."""
    address = where.of("")
    described = _read_config(config)
    if not {"task", "table", "names"} <= described.keys():
        raise CheckpointError(
            f"{address}: its {CONFIG_FILE} names no task, classes and table of a backbone, as that of a task of "
            "MobileDense does; another library wrote it"
        )
    path = _fetch(where, WEIGHTS_FILE)
    if described != _read_description(path, address):
        raise CheckpointError(f"{address}: {WEIGHTS_FILE} and {CONFIG_FILE} are not of one push; push the task again")
    return path


def _fetch(where: Address, file: str) -> Path:
    wanted = where.file or WEIGHTS_FILE
    try:
        return fetch(where.of(file), f"download {wanted} of {where.repository} elsewhere, and give that file")
    except NoSuchFileError:
        what = f"a task of MobileDense has {CONFIG_FILE} and {WEIGHTS_FILE}"
        hint = f"{what}; a backbone alone goes to --backbone and --weights" if not where.file else "look for its name"
        raise CheckpointError(f"{where.of('')}: the repository has no file {file}; {hint}") from None


def _read_config(path: Path) -> dict[str, Any]:
    try:
        return dict(json.loads(path.read_text(encoding="utf-8")))
    except (ValueError, TypeError):
        return {}


def _read_description(path: Path, address: str) -> Any:
    try:
        with safe_open(path, "pt") as file:
            return json.loads((file.metadata() or {}).get(DESCRIPTION, "{}"))
    except Exception:  # of damaged bytes, whatever it may be
        raise CheckpointError(f"{address}: {WEIGHTS_FILE} is damaged, or no safetensors file") from None


def pinned(path: str | Path) -> str:
    """What a checkpoint that was loaded is called: its path, or its address on the hub with the commit it is of."""
    address = hub_address(path)
    if address is None:
        return str(path)
    where = split_address(address)
    return where._replace(revision=cached_commit(address) or where.revision).of(where.file)


def place(path: Path) -> Path:
    """Where results go beside: the checkpoint itself, or for one that is elsewhere a file in runs/OWNER_NAME."""
    name, address = torchvisions(path), hub_address(path)
    if name is not None:
        return Path("runs", name, f"{name}{SAFE}")
    if address is None:
        return path
    where = split_address(address)
    return Path("runs", where.repository.replace("/", "_"), Path(where.file or WEIGHTS_FILE).name)
