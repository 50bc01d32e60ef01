"""Operators that XNNPACK does not run are named and counted."""

import re
from dataclasses import replace

import numpy as np
import pytest

from deploy.runtimes import FORMATS
from deploy.xnnpack import outside_of_tflite, print_outside
from tests.deploy.test_quantisation import images, network

SAID = r"operators outside of XNNPACK: (none|\d+ \S+(, \d+ \S+)*)\n"


# operators in their order; tensors 10 to 13 are constants
CHAIN = [
    ("CAST", [0], [1]),
    ("CONV_2D", [1, 10, 11], [2]),
    ("ADD", [2, 12], [3]),
    ("CONV_2D", [3, 13, -1], [4]),
    ("ADD", [2, 4], [5]),
]


class Listed:
    """An interpreter that lists them, and parts of them that XNNPACK takes."""

    def __init__(self, *parts):
        self.parts = parts

    def _get_ops_details(self):
        listed = [*CHAIN, *(("DELEGATE", given, made) for given, made in self.parts)]
        return [
            {"index": index, "op_name": name, "inputs": np.array(given), "outputs": np.array(made)}
            for index, (name, given, made) in enumerate(listed)
        ]


@pytest.mark.parametrize(
    "parts, outside",
    [
        ([], ["CAST", "CONV_2D", "ADD", "CONV_2D", "ADD"]),
        ([([1, 10, 11, 12, 13], [5])], ["CAST"]),
        ([([1, 10, 11], [2]), ([2, 3, 13], [5])], ["CAST", "ADD"]),
        ([([0, 10, 11, 12, 13], [5])], []),
    ],
)
def test_parts_are_known_by_what_goes_in_and_out(parts, outside):
    assert outside_of_tflite(Listed(*parts)) == outside


def test_the_line(capsys):
    print_outside(["b", "a", "b"])
    print_outside([])
    assert capsys.readouterr().out == "operators outside of XNNPACK: 1 a, 2 b\noperators outside of XNNPACK: none\n"


def write(format, path, capsys):
    """A network in float, with what is printed of it."""
    graph, description = network("segmentation", "mask")
    FORMATS[format].write(graph, replace(description, precision="float32"), path)
    return capsys.readouterr().out


@pytest.mark.slow
def test_a_pte_tells(tmp_path, capsys):
    pytest.importorskip("executorch")
    assert re.fullmatch(SAID, write("executorch", tmp_path / "x.pte", capsys))


def test_a_tflite_tells(tmp_path, capsys):
    pytest.importorskip("litert_torch")
    from ai_edge_litert.interpreter import Interpreter

    said = write("litert", tmp_path / "x.tflite", capsys)
    assert re.fullmatch(SAID, said) and "1 ARG_MAX" in said
    interpreter = Interpreter(str(tmp_path / "x.tflite"), num_threads=1)
    interpreter.allocate_tensors()
    listed = interpreter._get_ops_details()
    parts = {tensor for one in listed if one["op_name"] == "DELEGATE" for tensor in one["outputs"]}
    interpreter.set_tensor(interpreter.get_input_details()[0]["index"], images()[0])
    interpreter.invoke()

    def is_kept(tensor):  # what operators within a part make has no memory of its own
        try:
            return tensor not in parts and interpreter.get_tensor(tensor) is not None
        except ValueError:
            return False

    run = [one["op_name"] for one in listed if one["op_name"] != "DELEGATE" and all(map(is_kept, one["outputs"]))]
    assert len(run) < 10 and outside_of_tflite(interpreter) == run
