import json

import pytest

from backbones import (
    TABLES,
    Row,
    Table,
    create_backbone,
    create_table,
    mnasnet_a1_table,
    mnasnet_b1_table,
    mobilenet_v1_table,
    mobilenet_v2_table,
    mobilenet_v3_table,
    table_from_dict,
    table_options,
)
from backbones.tables import make_divisible

OPTIONS = [
    {},
    {"rf2": True, "output_stride": 16},
    {"reduced_tail": True},
    {"minimalistic": True},
    {"width": 0.75},
    {"output_stride": 8, "dilate_first": True},
    {"small_images": True},
]


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (1, 8),
        (5.6, 8),
        (8, 8),
        (11, 16),  # 8 would be under 90 %
        (12, 16),
        (16, 16),
        (18, 24),  # 16 would be under 90 %
        (20, 24),
        (33.3, 32),
        (35, 32),
        (36, 40),
        (84, 88),
        (100, 104),
        (228, 232),
    ],
)
def test_make_divisible(value, expected):
    assert make_divisible(value) == expected


def test_make_divisible_never_falls_under_nine_tenths():
    for value in (8 + step / 4 for step in range(500)):
        result = make_divisible(value)
        assert result % 8 == 0, value
        assert 0.9 * value <= result < value + 8, value


@pytest.mark.parametrize(("value", "expected"), [(10, 12), (3, 4), (17, 16)])
def test_make_divisible_by_another_divisor(value, expected):
    assert make_divisible(value, 4) == expected


def test_large_rows_are_table_1():
    table = mobilenet_v3_table("large")
    assert [(r.kernel, r.expanded, r.out, r.squeeze, r.stride) for r in table.rows] == [
        (3, 16, 16, 0, 1),
        (3, 64, 24, 0, 2),
        (3, 72, 24, 0, 1),
        (5, 72, 40, 24, 2),
        (5, 120, 40, 32, 1),
        (5, 120, 40, 32, 1),
        (3, 240, 80, 0, 2),
        (3, 200, 80, 0, 1),
        (3, 184, 80, 0, 1),
        (3, 184, 80, 0, 1),
        (3, 480, 112, 120, 1),
        (3, 672, 112, 168, 1),
        (5, 672, 160, 168, 2),
        (5, 960, 160, 240, 1),
        (5, 960, 160, 240, 1),
    ]
    assert [r.activation for r in table.rows] == ["relu"] * 6 + ["hard_swish"] * 9
    assert (table.name, table.stem, table.last, table.hidden) == ("mobilenet_v3_large", 16, 960, 1280)
    assert (table.activation, table.norm_eps, table.norm_momentum) == ("hard_swish", 1e-3, 0.01)


def test_small_rows_are_table_2():
    table = mobilenet_v3_table("small")
    assert [(r.kernel, r.expanded, r.out, r.squeeze, r.stride) for r in table.rows] == [
        (3, 16, 16, 8, 2),
        (3, 72, 24, 0, 2),
        (3, 88, 24, 0, 1),
        (5, 96, 40, 24, 2),
        (5, 240, 40, 64, 1),
        (5, 240, 40, 64, 1),
        (5, 120, 48, 32, 1),
        (5, 144, 48, 40, 1),
        (5, 288, 96, 72, 2),
        (5, 576, 96, 144, 1),
        (5, 576, 96, 144, 1),
    ]
    assert [r.activation for r in table.rows] == ["relu"] * 3 + ["hard_swish"] * 8
    assert (table.name, table.stem, table.last, table.hidden) == ("mobilenet_v3_small", 16, 576, 1024)


def tail(variant, count=3, **options):
    table = mobilenet_v3_table(variant, **options)
    return [(r.expanded, r.squeeze, r.out) for r in table.rows[-count:]], table.last


def test_rf2_halves_the_last_stage_with_its_first_expansion():
    assert tail("large", rf2=True) == ([(336, 88, 80), (480, 120, 80), (480, 120, 80)], 480)
    assert tail("small", rf2=True) == ([(144, 40, 48), (288, 72, 48), (288, 72, 48)], 288)


def test_reduced_tail_keeps_the_first_expansion():
    assert tail("large", reduced_tail=True) == ([(672, 168, 80), (480, 120, 80), (480, 120, 80)], 480)
    assert tail("small", reduced_tail=True) == ([(288, 72, 48), (288, 72, 48), (288, 72, 48)], 288)


@pytest.mark.parametrize("option", ["rf2", "reduced_tail"])
@pytest.mark.parametrize("variant", ["large", "small"])
def test_a_halved_tail_changes_nothing_before_it_and_not_the_hidden_layer(variant, option):
    plain, halved = mobilenet_v3_table(variant), mobilenet_v3_table(variant, **{option: True})
    assert halved.rows[:-3] == plain.rows[:-3]
    assert (halved.stem, halved.hidden) == (plain.stem, plain.hidden)


def test_width_scales_every_width_but_the_hidden_layer():
    table = mobilenet_v3_table("large", width=0.75)
    assert (table.stem, table.last, table.hidden) == (16, 720, 1280)
    assert [r.out for r in table.rows] == [16, 24, 24, 32, 32, 32, 64, 64, 64, 64, 88, 88, 120, 120, 120]
    # the expansion follows the scaled input: 40 -> 32 channels in, times 120 / 40
    assert [r.expanded for r in table.rows[3:6]] == [72, 96, 96]
    assert [r.squeeze for r in table.rows[-3:]] == [136, 184, 184]
    small = mobilenet_v3_table("small", width=0.75)
    assert ([r.out for r in small.rows[-3:]], small.last, small.hidden) == ([72, 72, 72], 432, 1024)


def test_width_above_one_widens_the_last_convolution_too():
    table = mobilenet_v3_table("large", width=1.25)
    assert (table.stem, table.last, table.hidden, table.rows[-1].out) == (24, 1200, 1280, 200)


@pytest.mark.parametrize("variant", ["large", "small"])
def test_minimalistic_has_3x3_relu_and_no_squeeze_and_keeps_the_widths(variant):
    table, plain = mobilenet_v3_table(variant, minimalistic=True), mobilenet_v3_table(variant)
    assert {(r.kernel, r.squeeze, r.activation) for r in table.rows} == {(3, 0, "relu")}
    assert table.activation == "relu"
    assert [(r.expanded, r.out, r.stride) for r in table.rows] == [(r.expanded, r.out, r.stride) for r in plain.rows]


def test_v1_rows_are_table_1():
    table = mobilenet_v1_table()
    assert [(r.expanded, r.out, r.stride) for r in table.rows] == [
        (32, 64, 1),
        (64, 128, 2),
        (128, 128, 1),
        (128, 256, 2),
        (256, 256, 1),
        (256, 512, 2),
        *[(512, 512, 1)] * 5,
        (512, 1024, 2),
        (1024, 1024, 1),
    ]
    assert {(r.kernel, r.squeeze, r.activation, r.linear) for r in table.rows} == {(3, 0, "relu6", False)}
    assert (table.stem, table.last, table.hidden, table.norm_eps) == (32, 0, 0, 1e-5)


def test_v1_rounds_widths_down_and_keeps_eight():
    narrow = mobilenet_v1_table(width=0.25)
    assert (narrow.stem, [row.out for row in narrow.rows[:4]]) == (8, [16, 32, 32, 64])
    assert mobilenet_v1_table(width=0.3).rows[0].out == 19
    assert mobilenet_v1_table(width=0.1).stem == 8


def test_v2_rows_are_table_2():
    table = mobilenet_v2_table()
    assert [(r.expanded, r.out, r.stride) for r in table.rows] == [
        (32, 16, 1),
        *[(96, 24, 2), (144, 24, 1)],
        *[(144, 32, 2), (192, 32, 1), (192, 32, 1)],
        *[(192, 64, 2), (384, 64, 1), (384, 64, 1), (384, 64, 1)],
        *[(384, 96, 1), (576, 96, 1), (576, 96, 1)],
        *[(576, 160, 2), (960, 160, 1), (960, 160, 1)],
        (960, 320, 1),
    ]
    assert {(r.kernel, r.squeeze, r.activation, r.linear) for r in table.rows} == {(3, 0, "relu6", True)}
    assert (table.stem, table.last, table.hidden, table.norm_eps) == (32, 1280, 0, 1e-5)


def test_v2s_last_convolution():
    assert [mobilenet_v2_table(width=width).last for width in (0.5, 1.0, 1.4)] == [1280, 1280, 1792]
    assert [mobilenet_v2_table(width=width, scale_last=True).last for width in (0.5, 1.4)] == [640, 1792]
    assert mobilenet_v2_table(last_conv=False).last == 0


def test_v2_rf2_halves_the_outputs_of_the_last_stage():
    halved = mobilenet_v2_table(rf2=True)
    assert halved.rows[:13] == mobilenet_v2_table().rows[:13]
    assert [(r.expanded, r.out) for r in halved.rows[13:]] == [(576, 80), (480, 80), (480, 80), (480, 160)]


def test_mnasnet_a1_rows_are_figure_7():
    table = mnasnet_a1_table()
    assert [(r.kernel, r.expanded, r.out, r.squeeze, r.stride) for r in table.rows] == [
        (3, 32, 16, 0, 1),
        *[(3, 96, 24, 0, 2), (3, 144, 24, 0, 1)],
        *[(5, 72, 40, 6, 2), (5, 120, 40, 10, 1), (5, 120, 40, 10, 1)],
        *[(3, 240, 80, 0, 2), (3, 480, 80, 0, 1), (3, 480, 80, 0, 1), (3, 480, 80, 0, 1)],
        *[(3, 480, 112, 20, 1), (3, 672, 112, 28, 1)],
        *[(5, 672, 160, 28, 2), (5, 960, 160, 40, 1), (5, 960, 160, 40, 1)],
        (3, 960, 320, 0, 1),
    ]
    assert (table.stem, table.last, table.activation, table.gate) == (32, 1280, "relu", "sigmoid")


def test_mnasnet_a1s_squeeze_in_multiples_of_eight():
    squeezes = [row.squeeze for row in mnasnet_a1_table(round_squeeze=True).rows if row.squeeze]
    assert squeezes == [8, 16, 16, 24, 32, 32, 40, 40]


def test_mnasnet_b1_is_torchvisions():
    table = mnasnet_b1_table()
    assert [(r.kernel, r.expanded, r.out, r.stride) for r in table.rows] == [
        (3, 32, 16, 1),
        *[(3, 48, 24, 2), (3, 72, 24, 1), (3, 72, 24, 1)],
        *[(5, 72, 40, 2), (5, 120, 40, 1), (5, 120, 40, 1)],
        *[(5, 240, 80, 2), (5, 480, 80, 1), (5, 480, 80, 1)],
        *[(3, 480, 96, 1), (3, 576, 96, 1)],
        *[(5, 576, 192, 2), (5, 1152, 192, 1), (5, 1152, 192, 1), (5, 1152, 192, 1)],
        (3, 1152, 320, 1),
    ]
    assert not any(row.squeeze for row in table.rows)


@pytest.mark.parametrize("table", [mnasnet_a1_table, mnasnet_b1_table])
def test_mnasnets_last_convolution(table):
    assert [table(width=width).last for width in (0.5, 1.4)] == [1280, 1280]
    assert [table(width=width, scale_last=True).last for width in (0.5, 1.4)] == [640, 1792]
    assert table(width=0.5).stem == 16


@pytest.mark.parametrize("name", TABLES)
def test_small_images_take_the_stems_stride_and_the_next(name):
    small, plain = create_table(name, small_images=True), create_table(name)
    assert (small.stem_stride, plain.stem_stride) == (1, 2)
    strides, papers = ([stride for stride, _ in table.geometry()] for table in (small, plain))
    first = papers.index(2)
    assert strides == [*papers[:first], 1, *papers[first + 1 :]]
    assert strides.count(2) == 3
    assert {rate for _, rate in small.geometry()} == {1}
    assert (small.rows, small.levels()) == (plain.rows, plain.levels())


def test_levels():
    assert mobilenet_v3_table("large").levels() == [1, 2, 2, 3, 3, 3, 4, 4, 4, 4, 4, 4, 5, 5, 5]
    assert mobilenet_v3_table("small").levels() == [2, 3, 3, 4, 4, 4, 4, 4, 5, 5, 5]


@pytest.mark.parametrize(
    ("name", "counts"),
    [
        ("v1", [1, 2, 2, 6, 2]),
        ("v2", [1, 2, 3, 7, 4]),
        ("mnasnet-a1", [1, 2, 3, 6, 4]),
        ("mnasnet-b1", [1, 3, 3, 5, 5]),
    ],
)
def test_rows_of_every_level(name, counts):
    levels = create_table(name).levels()
    assert [levels.count(level) for level in range(1, 6)] == counts


def test_levels_do_not_depend_on_the_output_stride():
    assert create_table("v3-large", output_stride=8).levels() == create_table("v3-large").levels()


LARGE_UP_TO_C3 = [(1, 1), (2, 1), (1, 1), (2, 1), (1, 1), (1, 1)]


@pytest.mark.parametrize(
    ("stride", "dilate_first", "expected"),
    [
        (32, False, [(2, 1)] + [(1, 1)] * 5 + [(2, 1)] + [(1, 1)] * 2),
        (32, True, [(2, 1)] + [(1, 1)] * 5 + [(2, 1)] + [(1, 1)] * 2),
        (16, False, [(2, 1)] + [(1, 1)] * 5 + [(1, 1)] + [(1, 2)] * 2),
        (16, True, [(2, 1)] + [(1, 1)] * 5 + [(1, 2)] + [(1, 2)] * 2),
        (8, False, [(1, 1)] + [(1, 2)] * 5 + [(1, 2)] + [(1, 4)] * 2),
        (8, True, [(1, 2)] + [(1, 2)] * 5 + [(1, 4)] + [(1, 4)] * 2),
    ],
)
def test_geometry_of_large(stride, dilate_first, expected):
    table = create_table("v3-large", output_stride=stride, dilate_first=dilate_first)
    assert table.geometry() == LARGE_UP_TO_C3 + expected


@pytest.mark.parametrize(
    ("stride", "expected"),
    [
        (32, [(2, 1)] + [(1, 1)] * 4 + [(2, 1)] + [(1, 1)] * 2),
        (16, [(2, 1)] + [(1, 1)] * 4 + [(1, 1)] + [(1, 2)] * 2),
        (8, [(1, 1)] + [(1, 2)] * 4 + [(1, 2)] + [(1, 4)] * 2),
    ],
)
def test_geometry_of_small(stride, expected):
    assert create_table("v3-small", output_stride=stride).geometry() == [(2, 1), (2, 1), (1, 1), *expected]


@pytest.mark.parametrize("options", OPTIONS, ids=str)
@pytest.mark.parametrize("variant", ["large", "small"])
def test_a_table_survives_json(variant, options):
    table = create_table(f"v3-{variant}", **options)
    again = Table.from_dict(json.loads(json.dumps(table.to_dict())))
    assert again == table
    assert isinstance(again.rows, tuple)
    assert all(isinstance(row, Row) for row in again.rows)


def test_the_options_give_different_tables():
    assert len({create_table("v3-large", **options) for options in OPTIONS}) == len(OPTIONS)


def test_from_dict_names_unknown_entries():
    data = create_table("v3-small").to_dict() | {"colour": "red", "age": 3}
    with pytest.raises(ValueError, match="age, colour"):
        Table.from_dict(data)


def test_from_dict_checks_the_output_stride():
    with pytest.raises(ValueError, match="output stride 4"):
        Table.from_dict(create_table("v3-small").to_dict() | {"output_stride": 4})


@pytest.mark.parametrize("variant", ["medium", "Large", ""])
def test_unknown_variant(variant):
    with pytest.raises(ValueError, match=f'"large" or "small", not "{variant}"'):
        mobilenet_v3_table(variant)


@pytest.mark.parametrize("name", TABLES)
@pytest.mark.parametrize("width", [0, -1.0, float("nan"), 0.01, 1000])
def test_width_has_its_range(width, name):
    with pytest.raises(ValueError, match=f"width {width} is not in 0.05 to 8"):
        create_table(name, width=width)


@pytest.mark.parametrize("stride", [0, 4, 12, 64])
def test_unknown_output_stride(stride):
    with pytest.raises(ValueError, match=f"output stride {stride} is not one of 8, 16, 32"):
        create_table("v3-large", output_stride=stride)


def test_rf2_and_reduced_tail_exclude_each_other():
    with pytest.raises(ValueError, match="rf2 and reduced_tail"):
        mobilenet_v3_table("small", rf2=True, reduced_tail=True)


@pytest.mark.parametrize(
    ("name", "option", "near"),
    [
        ("v1", "rf2", r"it has width, output_stride, dilate_first, small_images\)"),
        ("v2", "reduced_tail", "it has width, rf2, last_conv, scale_last, output_stride"),
        ("mnasnet-b1", "round_squeeze", "it has width, scale_last, output_stride"),
        ("v3-large", "outputstride", 'did you mean "output_stride"'),
        ("mnasnet-a1", "variant", "it has width, scale_last, round_squeeze, output_stride"),
    ],
)
def test_an_option_that_a_family_lacks(name, option, near):
    with pytest.raises(ValueError, match=f'{name} has no option "{option}".*{near}'):
        create_backbone(name, **{option: True})


@pytest.mark.parametrize("name", TABLES)
def test_every_option_changes_the_table(name):
    values = {"width": 0.75, "output_stride": 16, "last_conv": False}
    for option in table_options(name):
        extra = {"width": 0.75} if option == "scale_last" else {}
        assert create_table(name, **extra, **{option: values.get(option, True)}) != create_table(name, **extra), option


@pytest.mark.parametrize(("name", "near"), [("v3-lrage", "v3-large"), ("v3_small", "v3-small")])
def test_unknown_backbone_names_the_nearest(name, near):
    with pytest.raises(ValueError, match=f'no backbone "{name}"; did you mean "{near}"'):
        create_backbone(name)


@pytest.mark.parametrize(
    ("name", "options", "said"),
    [
        ("v1", {}, "mobilenet_v1"),
        ("v3-large", {"rf2": True, "width": 0.75, "output_stride": 16}, "mobilenet_v3_large (width 0.75, rf2)"),
        ("v3-small", {"minimalistic": True, "reduced_tail": True}, "mobilenet_v3_small (reduced tail, minimalistic)"),
        ("v2", {"last_conv": False}, "mobilenet_v2 (no last conv)"),
        ("mnasnet-a1", {"scale_last": True, "round_squeeze": True}, "mnasnet_a1 (scale last, round squeeze)"),
        ("timm:resnet10t", {}, "timm:resnet10t"),
    ],
)
def test_a_table_says_what_it_is(name, options, said):
    table = create_table(name, **options)
    assert str(table) == str(table_from_dict(table.to_dict())) == said


def test_a_table_of_an_older_file_is_the_same():
    table = create_table("v3-large", rf2=True)
    older = {key: value for key, value in table.to_dict().items() if key != "variant"}
    assert table_from_dict(older) == table
