"""Tiny networks in int8 and float16, beside the same in float."""

import numpy as np
import pytest
import torch

from backbones import create_table
from deploy.description import Description
from deploy.exporting import THRESHOLDS
from deploy.graph import Graph
from deploy.layer_errors import layer_errors, report
from deploy.onnx_file import make_onnx
from deploy.onnx_precision import fold_normalisation, halve, quantise
from deploy.runtimes import FORMATS
from tasks import ClassificationSpec, ClassificationTask, DetectionSpec, DetectionTask, SegmentationSpec
from tasks import SegmentationTask as Segmenter
from tasks.segmentation.task import segmentation_table

NEEDED = {"onnx": "onnxruntime", "openvino": "nncf", "executorch": "torchao", "litert": "ai_edge_quantizer"}
KINDS = {"classification": "probabilities", "segmentation": "logits", "detection": "raw"}


def network(kind, output_kind=None, **options):
    """An untrained network of each task, and what describes it in int8."""
    names, colours = ["a", "b", "c"], [(0, 0, 0)] * 3
    table = create_table("v3-small", width=0.25)
    if kind == "classification":
        task = ClassificationTask(ClassificationSpec(table, "classifier", names, colours, (64, 64), **options))
    elif kind == "detection":
        task = DetectionTask(DetectionSpec(table, "ssdlite", names, colours, (64, 64), **options))
    else:
        table = segmentation_table("v3-small", "lraspp", width=0.25)
        task = Segmenter(SegmentationSpec(table, "lraspp", names, colours, (64, 64), **options))
    graph = Graph(task, output_kind or KINDS[kind])
    outputs, thresholds = list(graph.names), THRESHOLDS if output_kind == "boxes" else {}
    about = (kind, task.describe(), graph.output_kind, outputs, graph.size, "uint8", "int8", "0" * 64, {}, thresholds)
    return graph, Description(*about)


def images(count=6):
    """Smooth ones, as photographs are."""
    rng = np.random.default_rng(0)
    small = rng.integers(0, 256, (count, 1, 8, 8, 3), dtype=np.uint8)
    return list(small.repeat(8, axis=2).repeat(8, axis=3))


def quality(found, expected):
    """Of an output, in decibels."""
    return 10 * np.log10(np.square(expected).sum() / max(np.square(found - expected).sum(), 1e-20))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("format", NEEDED)
def test_int8_computes_what_float_does(format, kind, tmp_path):
    pytest.importorskip(NEEDED[format])
    if (format, kind) == ("executorch", "detection"):
        pytest.skip("offsets of an untrained SSDLite are smaller than the least scale of XNNPACK's quantizer")
    (graph, description), given = network(kind), images()
    writer, path = FORMATS[format], tmp_path / f"x{FORMATS[format].suffix}"
    assert "int8" in writer.precisions
    writer.write(graph, description, path, given)
    run = writer.open(path, writer.read_description(path), 1)
    for image in given[:2]:
        found = run(image)
        for name, expected in zip(graph.names, graph(torch.from_numpy(image)), strict=True):
            assert quality(found[name], expected.detach().numpy()) > 15
            assert np.abs(found[name] - expected.detach().numpy()).max() > 0  # it is not float under another name


@pytest.mark.parametrize("kind, output_kind", [("segmentation", "mask"), ("detection", "boxes")])
def test_decoding_of_a_tflite_in_int8(kind, output_kind, tmp_path):
    pytest.importorskip("ai_edge_quantizer")
    (graph, description), given = network(kind, output_kind), images()
    FORMATS["litert"].write(graph, description, tmp_path / "x.tflite", given)
    found = FORMATS["litert"].open(tmp_path / "x.tflite", description, 1)(given[0])
    for name, expected in zip(graph.names, graph(torch.from_numpy(given[0])), strict=True):
        if name == "mask":
            assert (found[name] == expected.numpy()).mean() > 0.8
        else:
            assert quality(found[name], expected.detach().numpy()) > 15


def parts(model, onnx):
    """An ONNX model's nodes by the tensors that they make, and its constants."""
    made = {name: node for node in model.graph.node for name in node.output}
    return made, {value.name: onnx.numpy_helper.to_array(value) for value in model.graph.initializer}


def test_onnx_weights_have_a_scale_for_each_channel_and_decoding_is_in_float():
    onnx = pytest.importorskip("onnx")
    pytest.importorskip("onnxruntime")
    graph, description = network("detection", "boxes")
    model = make_onnx(graph, description, lambda model: quantise(model, images()))
    made, constants = parts(model, onnx)
    convolutions = [node for node in model.graph.node if node.op_type == "Conv"]
    assert len(convolutions) > 50
    for node in convolutions:
        weight, scale, zero = (constants[name] for name in made[node.input[1]].input)
        assert weight.dtype == np.int8 and scale.shape == weight.shape[:1] and not zero.any()
        assert made[node.input[0]].op_type == "DequantizeLinear"
    # the image's own bytes go into the first one
    assert made[made[convolutions[0].input[0]].input[0]].op_type == "Transpose"
    joined = [name for node in model.graph.node if node.op_type in ("Concat", "Softmax") for name in node.output]
    reached = set(joined)
    for node in model.graph.node:
        if reached & set(node.input):
            reached |= set(node.output)
            assert node.op_type not in ("QuantizeLinear", "DequantizeLinear")
    assert {"boxes", "scores"} <= reached
    plain = make_onnx(graph, description)
    assert len(model.SerializeToString()) < 0.5 * len(plain.SerializeToString())
    assert not any(node.metadata_props for node in plain.graph.node)  # which would tell of files of this machine


@pytest.mark.parametrize("mean, same", [((0.5, 0.5, 0.5), True), ((0.2, 0.5, 0.7), False)])
def test_folded_normalisation_is_the_same_but_at_the_border(mean, same):
    onnx, runtime = pytest.importorskip("onnx"), pytest.importorskip("onnxruntime")
    graph, description = network("segmentation", mean=mean, std=(0.2, 0.3, 0.4))
    graph.mean.round_()  # as a zero point is

    def fold(model):
        begin = fold_normalisation(model, onnx.numpy_helper)
        assert begin is not None and begin.zero == 128
        # the first convolution alone
        (first,) = (node for node in model.graph.node if node.input[0] == begin.output)
        value = onnx.helper.make_tensor_value_info(first.output[0], 1, [*"nchw"])
        model.graph.output.append(value)
        return model

    model = make_onnx(graph, description, fold)
    image, seen = images()[0], []
    graph.network.backbone.stem.conv.register_forward_hook(lambda *given: seen.append(given[2].detach().numpy().copy()))
    graph(torch.from_numpy(image))
    found = runtime.InferenceSession(model.SerializeToString()).run(None, {"image": image})[1]
    np.testing.assert_allclose(found[..., 1:, 1:], seen[0][..., 1:, 1:], atol=1e-3)
    assert np.allclose(found, seen[0], atol=1e-3) == same


@pytest.mark.slow
@pytest.mark.parametrize("kind, output_kind", [*KINDS.items(), ("detection", "boxes")])
def test_float16_is_close_to_float_and_half_its_size(kind, output_kind):
    pytest.importorskip("onnx")
    runtime = pytest.importorskip("onnxruntime")
    graph, description = network(kind, output_kind)
    models = [make_onnx(graph, description, convert).SerializeToString() for convert in (None, halve)]
    assert len(models[1]) < 0.7 * len(models[0])
    sessions = [runtime.InferenceSession(model) for model in models]
    results = [session.run(None, {"image": images()[0]}) for session in sessions]
    assert [value.type for value in sessions[0].get_outputs()] == [value.type for value in sessions[1].get_outputs()]
    if output_kind != "boxes":  # which come in another order where scores tie
        for expected, found in zip(*results, strict=True):
            assert quality(found, expected) > 40


def test_openvino_float16(tmp_path):
    pytest.importorskip("openvino")
    writer, sizes = FORMATS["openvino"], []
    graph, description = network("classification")
    for precision in ("float32", "float16"):
        writer.write(graph, Description(**vars(description) | {"precision": precision}), tmp_path / "x.xml")
        sizes.append((tmp_path / "x.bin").stat().st_size)
        found = writer.open(tmp_path / "x.xml", description, 1)(images()[0])["probabilities"]
        np.testing.assert_allclose(found, graph(torch.from_numpy(images()[0]))[0].detach().numpy(), atol=1e-3)
    assert sizes[1] < 0.6 * sizes[0]


def test_layers_with_the_largest_error_come_first():
    graph, _ = network("segmentation")
    spoilt = graph.network.backbone.blocks[4].expand.conv
    with torch.no_grad():
        # one channel has the range of an activation for itself, and the layer behind it does not look at it
        graph.network.backbone.blocks[3].project.conv.bias[0] += 1e4
        spoilt.weight[:, 0] = 0
    before = {name: value.clone() for name, value in graph.state_dict().items()}
    errors = layer_errors(graph, images())
    assert [error.sqnr for error in errors] == sorted(error.sqnr for error in errors)
    names = {name: module for name, module in graph.network.named_modules()}
    assert next(error.sqnr for error in errors if names[error.name] is spoilt) < 10 < errors[-1].sqnr
    assert len(errors) == sum(isinstance(module, torch.nn.Conv2d) for module in names.values())
    for name, value in graph.state_dict().items():
        assert torch.equal(value, before[name])
    lines = report(errors, 3).splitlines()
    assert "simulated" in lines[0] and lines[2].split()[0] == errors[0].name
    assert lines[-1] == f"and {len(errors) - 3} better ones"


def test_eight_bits_cost_what_they_should():
    """Some 30 to 60 dB, and more where an input is one value, as that of a squeeze-and-excitation may be."""
    graph, _ = network("classification")
    errors = layer_errors(graph, images())
    assert errors[0].sqnr > 15 and 30 < errors[len(errors) // 2].sqnr < 60
