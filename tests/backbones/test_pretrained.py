"""Where weights come from, and the normalisation that goes with them."""

import logging
from dataclasses import replace

import pytest
import timm
import torch
import torchvision
from safetensors.torch import save_file

from backbones import (
    build_backbone,
    create_backbone,
    create_table,
    load_weights,
    pretrained,
    start_normalisation,
)

PUBLISHED = [
    ("v2", "mobilenet_v2", "mobilenet_v2-7ebf99e0.pth"),
    ("mnasnet-b1", "mnasnet1_0", "mnasnet1.0_top1_73.512-f206786ef8.pth"),
]
TIMMS = [
    ("v1", {}, "mobilenetv1_100"),
    ("mnasnet-a1", {}, "semnasnet_100"),
    ("v3-large", {"minimalistic": True}, "tf_mobilenetv3_large_minimal_100"),
    ("v3-small", {"minimalistic": True}, "tf_mobilenetv3_small_minimal_100"),
]
FILES = {"large": "mobilenet_v3_large-5c1a4163.pth", "small": "mobilenet_v3_small-047dcff4.pth"}


@pytest.fixture
def hub(tmp_path, monkeypatch):
    """A folder whose files are what is fetched; `test_download` has the fetching."""

    def fetch(address):
        return tmp_path / address.rpartition("/")[2]

    monkeypatch.setattr(pretrained, "fetch_url", fetch)
    monkeypatch.setattr(pretrained, "fetch", fetch)
    return tmp_path


@pytest.mark.parametrize("name", FILES)
def test_imagenet_is_torchvisions_published_file(name, hub, caplog):
    published = getattr(torchvision.models, f"mobilenet_v3_{name}")()
    torch.save(published.state_dict(), hub / FILES[name])
    with caplog.at_level(logging.INFO, logger="backbones"):
        backbone = create_backbone(f"v3-{name}", weights="imagenet")
    total = len(backbone.state_dict())
    assert f"imagenet: took {total} of {total} tensors" in caplog.text
    assert torch.equal(backbone.last.conv.weight, published.features[-1][0].weight)


@pytest.mark.parametrize(("name", "theirs", "file"), PUBLISHED)
def test_other_families_that_torchvision_publishes(name, theirs, file, hub):
    state = getattr(torchvision.models, theirs)().state_dict()
    torch.save(state, hub / file)
    backbone = create_backbone(name, weights="imagenet")
    first = next(iter(state))
    assert torch.equal(backbone.stem.conv.weight, state[first])


@pytest.mark.parametrize(("name", "options", "theirs"), TIMMS)
def test_what_timm_publishes(name, options, theirs, hub):
    network = timm.create_model(theirs)
    save_file(network.state_dict(), hub / "model.safetensors")
    backbone = create_backbone(name, weights="imagenet", **options)
    assert torch.equal(backbone.stem.conv.weight, network.conv_stem.weight)
    assert backbone.normalisation == start_normalisation(backbone.table, "imagenet")


def test_timms_old_weights_are_pickles(hub, monkeypatch):
    network = timm.create_model("mobilenetv1_100")
    torch.save(network.state_dict(), hub / "pytorch_model.bin")

    def fetch(address):
        path = hub / address.rpartition("/")[2]
        if not path.is_file():
            raise FileNotFoundError(address)
        return path

    monkeypatch.setattr(pretrained, "fetch", fetch)
    assert torch.equal(create_backbone("v1", weights="imagenet").stem.conv.weight, network.conv_stem.weight)


def test_a_network_of_timms_without_weights():
    with pytest.raises(ValueError, match=r"timm publishes no weights for resnet10t\.nothing"):
        pretrained.timm_pretrained("resnet10t.nothing")


def test_a_table_of_another_family_has_no_published_weights():
    backbone = create_backbone("v3-small")
    backbone.table = replace(backbone.table, name="searched")
    with pytest.raises(ValueError, match="publishes ImageNet weights for searched"):
        load_weights(backbone, "imagenet")


@pytest.mark.parametrize("name", ["v1", "v2", "mnasnet-a1", "mnasnet-b1", "v3-large", "v3-small"])
def test_a_greater_width_is_refused_before_any_download(name, hub, monkeypatch):
    monkeypatch.setattr(pretrained, "fetch_url", None)
    monkeypatch.setattr(pretrained, "fetch", None)
    with pytest.raises(ValueError, match=r"of \w+ are for width 1 and less, not for \w+ \(width 1\.25\)"):
        create_backbone(name, weights="imagenet", width=1.25)


@pytest.mark.parametrize(("name", "theirs", "file"), [*PUBLISHED, ("v3-small", "mobilenet_v3_small", FILES["small"])])
@pytest.mark.parametrize("width", [0.25, 0.75])
def test_a_smaller_width_is_filled_from_torchvisions(name, theirs, file, width, hub):
    torch.save(getattr(torchvision.models, theirs)().state_dict(), hub / file)
    report = load_weights(create_backbone(name, width=width), "imagenet")
    assert report.share(report.taken, report.narrowed) == 1


@pytest.mark.parametrize(("name", "options", "theirs"), TIMMS)
def test_a_smaller_width_is_filled_from_timms(name, options, theirs, hub):
    save_file(timm.create_model(theirs).state_dict(), hub / "model.safetensors")
    report = load_weights(create_backbone(name, **options, width=0.5), "imagenet")
    assert report.share(report.taken, report.narrowed) == 1


def test_one_row_of_ones_own_is_no_other_width(hub):
    torch.save(torchvision.models.mobilenet_v3_small().state_dict(), hub / FILES["small"])
    table = create_table("v3-small")
    rows = (*table.rows[:7], replace(table.rows[7], out=56), *table.rows[8:])
    report = load_weights(build_backbone(replace(table, rows=rows)), "imagenet")
    assert "blocks.7.project.conv.weight" in report.mismatched
    assert not report.missing


@pytest.mark.parametrize("option", ["rf2", "reduced_tail"])
def test_a_halved_tail_is_no_other_width(option, hub):
    torch.save(torchvision.models.mobilenet_v3_small().state_dict(), hub / FILES["small"])
    report = load_weights(create_backbone("v3-small", **{option: True}), "imagenet")
    assert report.narrowed
    assert not report.missing and not report.mismatched


@pytest.mark.parametrize(
    ("name", "options", "mean"),
    [
        ("v1", {}, (0.5, 0.5, 0.5)),
        ("v3-small", {"minimalistic": True}, (0.5, 0.5, 0.5)),
        ("mnasnet-a1", {}, (0.485, 0.456, 0.406)),
        ("timm:tf_efficientnetv2_s", {}, (0.5, 0.5, 0.5)),
    ],
)
def test_timms_weights_come_with_the_normalisation_they_were_trained_under(name, options, mean):
    found = start_normalisation(create_table(name, **options), "imagenet")
    assert found["mean"] == mean and set(found) == {"mean", "std"}


def test_other_weights_have_the_usual_normalisation(tmp_path):
    table = create_table("v3-small")
    torch.save(create_backbone("v3-small").state_dict(), tmp_path / "bare.pth")
    assert [start_normalisation(table, source) for source in (None, "imagenet", tmp_path / "bare.pth")] == [{}, {}, {}]
