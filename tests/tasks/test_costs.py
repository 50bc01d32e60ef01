"""The rows that the papers print: what is printed, and exactly what our networks count to."""

import pytest
import torch

from backbones.costs import count_costs, count_layers
from tasks.costs import PAPER_ROWS, build_network

# Parameters and multiply-adds.
EXACT = {
    "V1 SSDLite": (5_063_413, 1_309_162_944),
    "V2 SSDLite": (4_286_261, 788_830_144),
    "MnasNet SSDLite": (4_879_455, 837_836_992),
    "V3-Large SSDLite": (4_966_591, 613_143_104),
    "V3-Large SSDLite reduced": (3_215_311, 506_563_904),
    "V3-Small SSDLite": (2_493_487, 210_417_856),
    "V3-Small SSDLite reduced": (1_765_279, 162_303_424),
    "V2 R-ASPP 256": (2_113_043, 21_233_054_912),
    "V2 RF2 LR-ASPP 256": (1_030_950, 12_775_593_568),
    "V2 RF2 LR-ASPP 128": (987_174, 12_523_035_872),
    "V3-Large R-ASPP 256": (3_600_963, 18_155_973_384),
    "V3-Large RF2 LR-ASPP 256": (1_632_894, 10_129_626_720),
    "V3-Large RF2 LR-ASPP 128": (1_507_198, 9_533_209_824),
    "V3-Small RF2 LR-ASPP 128": (468_830, 2_780_080_960),
}
# Parameters and multiply-adds in millions, where no more digits are known.
ROUNDED = {
    "V1 1.0": (4.2111, 568.74),
    "V1 0.75": (2.5699, 325.40),
    "V1 0.5": (1.3212, 149.50),
    "V1 0.25": (0.4649, 41.03),
    "V1 1.0 at 192": (4.2111, 418.12),
    "V1 1.0 at 160": (4.2111, 290.68),
    "V1 1.0 at 128": (4.2111, 186.40),
    "V2 1.0": (3.4720, 300.78),
    "V2 1.4": (6.0626, 582.20),
    "V2 0.75": (2.6111, 209.07),
    "V2 0.5": (1.9514, 97.13),
    "V3-Large 1.0": (5.4843, 216.59),
    "V3-Large 0.75": (3.9948, 154.56),
    "V3-Small 1.0": (2.5439, 56.51),
    "V3-Small 0.75": (2.0429, 43.40),
    "V3-Large minimalistic": (3.9256, 209.14),
    "MnasNet-A1": (3.8870, 311.58),
    "V2 R-ASPP on VOC": (2.1136, 2740.71),
}


@pytest.mark.parametrize("row", PAPER_ROWS, ids=lambda row: row.name)
def test_paper_rows(row):
    params, madds = row.count()
    if row.name in EXACT:
        assert (params, madds) == EXACT[row.name]
    else:
        assert params / 1e6 == pytest.approx(ROUNDED[row.name][0], abs=6e-5)
        assert madds / 1e6 == pytest.approx(ROUNDED[row.name][1], abs=6e-3)
    apart = max(abs(params / row.params / 1e6 - 1), abs(madds / row.madds / 1e6 - 1))
    assert (apart > 0.025) == bool(row.note)
    assert apart < 0.075


def test_every_row_is_here_once():
    assert sorted(row.name for row in PAPER_ROWS) == sorted([*EXACT, *ROUNDED])


@pytest.mark.parametrize("head", ["none", "classifier", "lraspp", "unet", "ssdlite"])
def test_layers_add_up(head):
    network = build_network("v3-small", head)
    layers, total = count_layers(network, 96, 128), count_costs(network, 96, 128)
    assert sum(layer.params for layer in layers) == total.params
    assert sum(layer.params_without_norm for layer in layers) == total.params_without_norm
    assert sum(layer.madds for layer in layers) == total.madds
    assert all(parameter.device == torch.device("meta") for parameter in network.parameters())


def test_lraspp_asks_for_rf2_and_output_stride_16_by_itself():
    given = build_network("v3-large", "lraspp", rf2=True, output_stride=16)
    assert build_network("v3-large", "lraspp").backbone.table == given.backbone.table


def test_options_go_to_the_backbone_and_the_head():
    wide, slim = (build_network("v3-large", "lraspp", width=width) for width in (None, 0.5))
    assert count_costs(slim, 64, 64).madds < count_costs(wide, 64, 64).madds / 2
    assert build_network("v3-large", "lraspp", 5, {"filters": 64}).head.branch[0].out_channels == 64
