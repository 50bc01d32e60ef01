"""Our state-dict keys beside torchvision's and timm's."""

from collections import OrderedDict
from collections.abc import Callable

from torch import Tensor, nn

from backbones.mobilenet import Backbone
from backbones.papers import plain_table
from backbones.tables import BackboneError, Table

Pair = tuple[str, str]
# a block's index, the names of its layers, and the place among them of the one that is asked for -> their names of its
# convolution and batch norm, or of the two convolutions of squeeze-and-excitation
BlockNames = Callable[[int, list[str], int], Pair]


def torchvision_keys(backbone: Backbone) -> dict[str, str]:
    """Our key -> torchvision's, as in `torchvision.models.mobilenet_v3_large().state_dict()`.

    Empty for networks that torchvision does not have: it has V2, V3 and MnasNet-B1.
    """
    table = backbone.table
    last = f"features.{len(table.rows) + 1}"
    if table.name in ("mobilenet_v3_large", "mobilenet_v3_small"):
        return _keys(backbone, ("features.0.0", "features.0.1"), _torchvision_v3, (f"{last}.0", f"{last}.1"))
    if table.name == "mobilenet_v2":
        return _keys(backbone, ("features.0.0", "features.0.1"), _torchvision_v2, (f"{last}.0", f"{last}.1"))
    if table.name == "mnasnet_b1":
        return _keys(backbone, ("layers.0", "layers.1"), _torchvision_mnasnet(table), ("layers.14", "layers.15"))
    return {}


def timm_keys(backbone: Backbone) -> dict[str, str]:
    """Our key -> timm's, as in `timm.create_model("mobilenetv1_100").state_dict()`."""
    stages = _stages(backbone.table)
    last = ("conv_head", "bn2")
    if backbone.table.hidden:  # V3's last convolution is a stage, and its hidden layer the head
        number = stages[-1][0] + 1
        last = (f"blocks.{number}.0.conv", f"blocks.{number}.0.bn1")

    def names(index: int, parts: list[str], place: int) -> Pair:
        block = "blocks.{}.{}".format(*stages[index])
        if parts[place] == "squeeze_excite":
            return f"{block}.se.conv_reduce", f"{block}.se.conv_expand"
        convolutions = ["conv_pw", "conv_dw", "conv_pwl"] if "expand" in parts else ["conv_dw", "conv_pw"]
        number = [part for part in parts if part != "squeeze_excite"].index(parts[place])
        return f"{block}.{convolutions[number]}", f"{block}.bn{number + 1}"

    return _keys(backbone, ("conv_stem", "bn1"), names, last)


def torchvision_state_dict(backbone: Backbone) -> dict[str, Tensor]:
    """The weights as torchvision's network of that name takes them, all but its classifier.

    `torchvision.models.mobilenet_v2().load_state_dict(torchvision_state_dict(backbone), strict=False)`

    Raises:
        BackboneError: for a network that torchvision does not have.
    """
    keys, own = torchvision_keys(backbone), backbone.state_dict()
    if not keys:
        raise BackboneError(f"torchvision has no {backbone.table}; it has MobileNetV2, MobileNetV3 and MnasNet-B1")
    state = OrderedDict((theirs, own[ours]) for ours, theirs in keys.items())
    state._metadata = OrderedDict({"": {"version": 2}})  # type: ignore[attr-defined] # MNASNet insists
    return state


def _keys(backbone: Backbone, stem: Pair, names: BlockNames, last: Pair) -> dict[str, str]:
    layers = {"stem": stem}
    for index, block in enumerate(backbone.blocks):
        parts = [name for name, module in block.named_children() if not isinstance(module, nn.Identity)]
        for place, part in enumerate(parts):
            layers[f"blocks.{index}.{part}"] = names(index, parts, place)
    if backbone.last is not None:
        layers["last"] = last
    keys = {}
    for ours, theirs in layers.items():
        own = ("reduce", "expand") if ours.endswith("squeeze_excite") else ("conv", "norm")
        for part, their in zip(own, theirs, strict=True):
            for key in backbone.get_submodule(f"{ours}.{part}").state_dict():
                keys[f"{ours}.{part}.{key}"] = f"{their}.{key}"
    return keys


def _torchvision_v3(index: int, parts: list[str], place: int) -> Pair:
    layer = f"features.{index + 1}.block.{place}"
    return (f"{layer}.fc1", f"{layer}.fc2") if parts[place] == "squeeze_excite" else (f"{layer}.0", f"{layer}.1")


def _torchvision_v2(index: int, parts: list[str], place: int) -> Pair:
    block = f"features.{index + 1}.conv"
    if parts[place] == "project":  # it stands bare in the block's sequence
        return f"{block}.{place}", f"{block}.{place + 1}"
    return f"{block}.{place}.0", f"{block}.{place}.1"


def _torchvision_mnasnet(table: Table) -> BlockNames:
    stages = _stages(table)

    def names(index: int, parts: list[str], place: int) -> Pair:
        stage, step = stages[index]
        # the first block's layers stand bare between the stem and the stages
        block, number = ("layers", 3 * place + 3) if stage == 0 else (f"layers.{stage + 7}.{step}.layers", 3 * place)
        return f"{block}.{number}", f"{block}.{number + 1}"

    return names


def _stages(table: Table) -> list[tuple[int, int]]:
    """For every row, its stage and its place in it; a stage begins where the stride is 2 or the width changes.

    The paper's widths count, as those of two stages can be one under a small multiplier.
    """
    plain = plain_table(table.name)
    rows = table.rows if plain is None or len(plain.rows) != len(table.rows) else plain.rows
    stage, step, out, result = -1, 0, 0, []
    for row in rows:
        begins = row.stride == 2 or row.out != out
        stage, step, out = (stage + 1, 0, row.out) if begins else (stage, step + 1, out)
        result.append((stage, step))
    return result
