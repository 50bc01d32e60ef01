import json
from dataclasses import replace

import pytest

from backbones import BackboneError, create_table, given_table, mobilenet_v3_table


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "tabellä.json"
    path.write_text(json.dumps(create_table("v3-small", width=0.5, output_stride=16).to_dict()))
    return path


def test_a_table_in_a_file_is_a_backbone_by_name(file):
    assert create_table(str(file)) == create_table("v3-small", width=0.5, output_stride=16)
    assert create_table(str(file), output_stride=8).output_stride == 8


@pytest.mark.parametrize("option", ["rf2", "reduced_tail"])
@pytest.mark.parametrize("variant", ["small", "large"])
def test_its_last_stage_is_halved_as_the_papers_is(tmp_path, variant, option):
    path = tmp_path / "table.json"
    path.write_text(json.dumps(mobilenet_v3_table(variant).to_dict()))
    halved = given_table(str(path), **{option: True})
    assert halved == mobilenet_v3_table(variant, **{option: True})
    path.write_text(json.dumps(replace(halved, name="searched", variant=f"{halved}: 1x k3").to_dict()))
    for again in ({"rf2": True}, {"reduced_tail": True}):
        with pytest.raises(BackboneError, match=rf"its last stage is halved already \({option.replace('_', ' ')}\)"):
            given_table(str(path), **again)


def test_a_classifiers_momentum_stays_with_classifiers(file):
    content = json.loads(file.read_text()) | {"norm_momentum": 0.1}
    file.write_text(json.dumps(content))
    assert given_table(str(file)).norm_momentum == 0.01


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("{", "cannot be read as JSON"),
        ("[]", "holds no backbone's table"),
        ('{"odd": 1}', "holds no backbone's table"),
        ('{"rows": [], "name": "x"}', "is no backbone's table"),
        ('{"rows": [{"kernel": 3}], "name": "x"}', "is no backbone's table"),
        ('{"rows": [], "odd": 1}', "unknown entries: odd"),
    ],
)
def test_another_file_is_refused_by_its_name(tmp_path, content, said):
    path = tmp_path / "odd.json"
    path.write_text(content)
    with pytest.raises(BackboneError, match=said) as error:
        create_table(str(path))
    assert str(path) in str(error.value)


def test_a_file_that_is_not_there_and_both_halves_are_refused(file):
    with pytest.raises(BackboneError, match=r"gone.json: no such file"):
        create_table("gone.json")
    with pytest.raises(BackboneError, match="choose one"):
        create_table(str(file), rf2=True, reduced_tail=True)
