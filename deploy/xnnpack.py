"""Which operators of a phone's file XNNPACK does not run, so that the runtime's own, slower ones do."""

from collections import Counter
from collections.abc import Iterable
from typing import Any


def print_outside(names: Iterable[str]) -> None:
    """Name the operators outside of XNNPACK in one line, with how many there are of each."""
    counted = ", ".join(f"{count} {name}" for name, count in sorted(Counter(names).items()))
    print(f"operators outside of XNNPACK: {counted or 'none'}")


def outside_of_tflite(interpreter: Any) -> list[str]:
    """The operators of a .tflite file that XNNPACK does not run, one name for each.

    LiteRT lists what XNNPACK took among the others still, with a DELEGATE for each part that it runs as one. Of such a
    part are the operators that its outputs are made by, back to its inputs.

    Args:
        interpreter: LiteRT's, with its tensors allocated.
    """
    listed = interpreter._get_ops_details()  # which is all that tells of them
    operators = [operator for operator in listed if operator["op_name"] != "DELEGATE"]
    maker = {tensor: operator for operator in operators for tensor in operator["outputs"]}
    inside = set()
    for part in (operator for operator in listed if operator["op_name"] == "DELEGATE"):
        seen, ahead = {*part["inputs"]}, [*part["outputs"]]
        while ahead:
            tensor = ahead.pop()
            if tensor not in seen and tensor in maker:
                inside.add(maker[tensor]["index"])
                ahead.extend(maker[tensor]["inputs"])
            seen.add(tensor)
    return [operator["op_name"] for operator in operators if operator["index"] not in inside]
