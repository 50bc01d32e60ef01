"""What a head asks of a backbone."""

from collections.abc import Mapping, Sequence


class HeadError(ValueError):
    """A head or a loss cannot be had as asked; the message says what to change."""


def tap_channels(channels: Mapping[str, int], taps: Sequence[str]) -> list[int]:
    """The channels of the taps that a head reads.

    Args:
        channels: of every tap that the backbone has.
        taps: those that the head reads.

    Raises:
        HeadError: if the backbone lacks one.
    """
    missing = [tap for tap in taps if tap not in channels]
    if missing:
        raise HeadError(f"this head reads {', '.join(missing)}; this backbone has only {', '.join(channels)}")
    return [channels[tap] for tap in taps]
