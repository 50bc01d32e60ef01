from dataclasses import replace

import pytest
import torch

from backbones import BackboneOptions, create_table, table_from_dict
from search import SearchError, reward
from search.space import Space
from tasks.options import Network
from tasks.wings import WINGS

OPTIONS = {
    "rf2": {"rf2": True, "output_stride": 16},
    "narrow": {"width": 0.35},
    "plain": {},
    "min": {"minimalistic": True},
}


@pytest.mark.parametrize("name", ["v3-small", "v3-large"])
@pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS)
def test_the_papers_own_table_is_a_member(name, options):
    base = create_table(name, **options)
    space = Space(base)
    assert space.table(space.paper) == base
    assert all(space.paper[name] in choices for name, choices in space.options().items())
    table = space.table(space.paper | {"stage1.kernel": 5})
    assert table.name == "searched" and table_from_dict(table.to_dict()) == table


def test_what_choices_make_of_v3_small():
    space = Space(create_table("v3-small"))
    assert len(space.stages) == 4
    assert space.paper["stage2.expansion"] == "paper" and space.paper["stage4.expansion"] == 6
    chosen = {"kernel": 3, "expansion": 4, "squeeze": 0, "layers": 1, "width": 1.25}
    table = space.table(space.paper | {f"stage2.{name}": choice for name, choice in chosen.items()})
    stage = table.rows[3:7]
    assert [(row.kernel, row.expanded, row.out, row.squeeze) for row in stage] == [
        (3, 96, 48, 0),
        *[(3, 192, 48, 0)] * 3,
    ]
    assert [row.stride for row in stage] == [2, 1, 1, 1] and {row.activation for row in stage} == {"hard_swish"}
    assert table.rows[7].expanded == 144  # three times what comes in
    assert "4x k3 e4 48" in str(table)


def test_no_two_choices_make_the_same_table():
    space = Space(create_table("v3-small", width=0.35))  # where stages round to the same widths
    tables = {space.table(space.paper).rows}
    for name, choices in space.options().items():
        others = [space.paper | {name: choice} for choice in choices if choice != space.paper[name]]
        made = {space.table(choices).rows for choices in others}
        assert len(made) == len(others) and not made & tables
        tables |= made


@pytest.mark.parametrize("kind, head", [("segmentation", "lraspp"), ("detection", "ssdlite"), ("classification", None)])
def test_every_member_builds_and_runs_under_the_dense_heads(kind, head):
    wing, size = WINGS[kind], (96, 64)
    for name in ("v3-small", "v3-large"):
        spec = wing.make_spec(Network(name, head), BackboneOptions(), ["a", "b"], [(0, 0, 0)] * 2, size, None, "shapes")
        space = Space(spec.table)
        for choices in [space.smallest, *map(space.random, range(2))]:
            with torch.device("meta"):
                network = wing.network(replace(spec, table=space.table(choices))).eval()
                network(torch.empty(1, 3, *size))
            assert network.backbone.strides["c3.depthwise"] <= 8
            assert network.backbone.channels["c5.first.expansion"] >= 3 * network.backbone.channels["c4"]


@pytest.mark.parametrize("name", ["v2", "v1"])
def test_other_tables_are_refused(name):
    with pytest.raises(SearchError, match="varies v3-large or v3-small"):
        Space(create_table(name))


@pytest.mark.parametrize("name", ["v3-small", "v3-large"])
def test_covering_tables_have_every_layer_of_every_member(name):
    space = Space(create_table(name))
    known = set().union(*map(layers, space.covering()))
    for choices in [space.smallest, space.largest, *map(space.random, range(200))]:
        assert layers(space.table(choices)) <= known
    assert not layers(space.table(space.random(0))) <= layers(space.table(space.paper))


def layers(table):
    """What the layers depend on: each row with what comes in, and what is tapped at each level."""
    inputs = [table.stem, *(row.out for row in table.rows[:-1])]
    rows = list(zip(inputs, table.rows, table.levels(), strict=True))
    last = {level: row.expanded for row, level in zip(table.rows, table.levels(), strict=True)}
    return {*rows, *last.items(), table.rows[-1].out}


def test_choices_of_no_member_are_refused():
    space = Space(create_table("v3-small"))
    with pytest.raises(SearchError, match=r"stage1\.kernel 7: is no choice"):
        space.table(space.paper | {"stage1.kernel": 7})
    with pytest.raises(SearchError, match=r"stage9\.kernel 3: is no choice"):
        space.table(space.paper | {"stage9.kernel": 3})


def test_reward_by_hand():
    assert reward(0.7, 80, 80) == pytest.approx(0.7)
    assert reward(0.7, 160, 80) / reward(0.7, 80, 80) == pytest.approx(0.9526, abs=1e-4)  # 2 ** -0.07
    assert reward(0.5, 40, 80) == pytest.approx(0.5249, abs=1e-4)
    assert reward(0.5, 40, 80, alpha=0, beta=-1) == 0.5
    assert reward(0.5, 160, 80, alpha=0, beta=-1) == 0.25
