"""Putting a folder on the Hugging Face hub, under the token of whoever is logged in."""

from pathlib import Path

from huggingface_hub import HfApi, get_token
from huggingface_hub.errors import HfHubHTTPError, HFValidationError
from huggingface_hub.utils import validate_repo_id

from backbones.hub import HUB
from backbones.tables import BackboneError
from backbones.weights_download import in_time, one_line

WAIT = 30.0  # seconds for the first answer
REPLACED = ["*.safetensors", "*.json", "*.onnx", "*.xml", "*.bin", "*.pte", "*.tflite"]  # of an earlier push
LOG_IN = "log in with hf auth login, or set HF_TOKEN; the token must be one that may write"


def require_repository(repository: str) -> None:
    """Refuse what cannot be the name of a repository.

    Raises:
        BackboneError: if so.
    """
    try:
        validate_repo_id(repository)
    except HFValidationError as error:
        raise BackboneError(f"{repository}: {one_line(error)}") from None
    if repository.count("/") != 1:
        raise BackboneError(f"{repository}: is no name of a repository; write OWNER/NAME")


def upload(folder: Path, repository: str, private: bool, message: str) -> str:
    """Put the files of a folder on the hub in one commit.

    Networks that an earlier push put there go, lest a file made from other weights stays beside these; images and other
    files stay.

    Args:
        folder: what is put there.
        repository: "OWNER/NAME"; it is made if it is not there.
        private: whether it is to be private, which one that is there must be already.
        message: of the commit.

    Returns:
        The address, hf://OWNER/NAME.

    Raises:
        BackboneError: for a name that no repository can have.
        ConnectionError: if nobody is logged in, or the hub refuses or cannot be reached.
    """
    require_repository(repository)
    if get_token() is None:
        raise ConnectionError(f"{repository}: could not be put on the hub (no token); {LOG_IN}")
    api = HfApi()
    try:
        in_time(lambda: api.create_repo(repository, private=private, exist_ok=True), WAIT)
        if private and not api.model_info(repository).private:
            raise ValueError("it is there already, and public; make it private there first, or push it as public")
        api.upload_folder(
            repo_id=repository, folder_path=folder, commit_message=message, delete_patterns=list(REPLACED)
        )
    except Exception as error:  # of the hub, of the library's HTTP client and of its checks, which share no type
        raise ConnectionError(f"{repository}: could not be put on the hub ({_reason(error)})") from error
    return HUB + repository


def _reason(error: Exception) -> str:
    """What the hub or the library says, in one line, and what to do about it."""
    status = error.response.status_code if isinstance(error, HfHubHTTPError) and error.response is not None else 0
    advice = {401: LOG_IN, 403: f"this token may not write there; {LOG_IN}"}.get(status)
    said = " ".join(str(error).split()) if isinstance(error, ValueError) else one_line(error)
    return f"{said}; {advice}" if advice else said
