"""Under which terms a network may be used; those of the data that it was trained on often bind it too."""

import re
from dataclasses import asdict, dataclass
from typing import Any

from tasks.errors import TaskError

IDENTIFIER = re.compile(r"[a-z0-9][a-z0-9.-]{0,63}")


@dataclass(frozen=True)
class License:
    """A license as the Hugging Face hub has it.

    Attributes:
        id: one of the hub's identifiers, such as "cc-by-nc-4.0"; "other" for what it has none for.
        name: of another one, such as "camvid-non-commercial".
        link: to another one's text.

    Raises:
        TaskError: for what cannot be an identifier, or a name where there is to be none, and none where there is.
    """

    id: str
    name: str | None = None
    link: str | None = None

    def __post_init__(self) -> None:
        for option, text in (("--license", self.id), ("--license-name", self.name)):
            if text is not None and not IDENTIFIER.fullmatch(text):
                raise TaskError(
                    f"{option} {text:.80}: write small letters, digits, hyphens and dots, 64 at most, such as "
                    "apache-2.0 or cc-by-nc-4.0, or other with --license-name"
                )
        if self.id == "other" and self.name is None:
            raise TaskError("--license other needs its name: --license-name, and --license-link if it has one")
        for option, text in (("--license-name", self.name), ("--license-link", self.link)):
            if text is not None and self.id != "other":
                raise TaskError(f"{option} {text:.80}: is for --license other; {self.id} is known by itself")
        if self.link is not None and (not self.link.strip() or len(self.link) > 500 or "\n" in self.link):
            raise TaskError(f"--license-link {self.link:.80}: is no link")

    def __str__(self) -> str:
        return (self.name or self.id) + (f" ({self.link})" if self.link else "")

    def to_dict(self) -> dict[str, Any]:
        """Plain values, as stored beside the weights."""
        return asdict(self)

    @classmethod
    def from_dict(cls, data: Any) -> "License | None":
        """The inverse of `to_dict`; None for None.

        Raises:
            TaskError: for what `to_dict` does not write.
        """
        if data is None:
            return None
        try:
            return cls(**data)
        except TypeError:
            raise TaskError(f"license cannot be {data!r:.80}") from None
