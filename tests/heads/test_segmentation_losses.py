import math

import pytest
import torch
from torch.nn import functional as F

from heads import LOSSES, SegmentationLoss, resize
from heads.segmentation_losses import CrossEntropy

CLASSES = 4
ALL = [*LOSSES, "ohem+dice"]
WEIGHTS = torch.tensor([0.2, 1.0, 3.0, 0.5])


@pytest.fixture
def batch():
    """Logits at mask size, and a mask with a void corner and void specks."""
    generator = torch.Generator().manual_seed(0)
    logits = 3 * torch.randn(2, CLASSES, 12, 17, generator=generator)
    target = torch.randint(0, CLASSES, (2, 12, 17), generator=generator)
    target[:, :5, :6] = 255
    target[torch.rand(target.shape, generator=generator) < 0.1] = 255
    assert 20 < (target == 255).sum() < 200
    return logits, target


@pytest.mark.parametrize("name", ALL)
def test_void_pixels_have_no_say(name, batch):
    logits, target = batch
    loss = SegmentationLoss(name)
    noise = 10 * torch.randn_like(logits) * (target == 255)[:, None]
    assert loss(logits + noise, target).item() == loss(logits, target).item()
    labelled = 10 * torch.randn_like(logits) * (target != 255)[:, None]
    assert loss(logits + labelled, target).item() != loss(logits, target).item()


@pytest.mark.parametrize("name", ALL)
def test_void_pixels_get_no_gradient(name, batch):
    logits, target = batch
    logits.requires_grad_()
    SegmentationLoss(name)(logits, target).backward()
    gradient = logits.grad.permute(0, 2, 3, 1)
    assert not gradient[target == 255].any()
    assert gradient[target != 255].any()
    assert gradient.isfinite().all()


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
@pytest.mark.parametrize("weights", [None, WEIGHTS], ids=["plain", "weighted"])
def test_cross_entropy_is_torchs_mean(weights, smoothing, batch):
    logits, target = batch
    expected = F.cross_entropy(logits, target, weights, ignore_index=255, label_smoothing=smoothing)
    found = SegmentationLoss("cross_entropy", weights, smoothing)(logits, target)
    torch.testing.assert_close(found, expected)


@pytest.mark.parametrize("weights", [None, WEIGHTS], ids=["plain", "weighted"])
def test_cross_entropys_gradient_is_torchs(weights, batch):
    logits, target = batch
    ours, theirs = logits.clone().requires_grad_(), logits.clone().requires_grad_()
    SegmentationLoss("cross_entropy", weights)(ours, target).backward()
    F.cross_entropy(theirs, target, weights, ignore_index=255).backward()
    torch.testing.assert_close(ours.grad, theirs.grad)


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_small_logits_are_resized_to_the_mask(layout, batch):
    _, target = batch
    logits = torch.randn(2, CLASSES, 3, 5).to(memory_format=layout)
    expected = F.cross_entropy(resize(logits, (12, 17)), target, ignore_index=255)
    torch.testing.assert_close(SegmentationLoss()(logits, target), expected)


@pytest.mark.parametrize("name", ALL)
def test_uint8_masks_are_as_good_as_int64(name, batch):
    logits, target = batch
    loss = SegmentationLoss(name)
    assert loss(logits, target.to(torch.uint8)).item() == loss(logits, target).item()


@pytest.mark.parametrize("name", ALL)
def test_half_precision_logits_give_a_single_precision_loss(name, batch):
    logits, target = batch
    assert SegmentationLoss(name)(logits.bfloat16(), target).dtype == torch.float32


@pytest.mark.parametrize("name", ALL)
def test_a_right_answer_costs_less_than_a_wrong_one(name, batch):
    _, target = batch
    right = 40 * F.one_hot(target.clamp(max=CLASSES - 1), CLASSES).permute(0, 3, 1, 2).float() - 20
    loss = SegmentationLoss(name)
    assert loss(right, target) < 0.01
    assert loss(right.roll(1, dims=1), target) > 0.5


@pytest.mark.parametrize("name", ALL)
def test_a_step_down_the_gradient_lowers_the_loss(name, batch):
    logits, target = batch
    logits.requires_grad_()
    loss = SegmentationLoss(name)
    before = loss(logits, target)
    before.backward()
    with torch.no_grad():
        assert loss(logits - 0.1 * logits.grad / logits.grad.norm(), target) < before


def test_a_sum_of_losses_is_their_sum(batch):
    expected = SegmentationLoss("ohem")(*batch) + SegmentationLoss("dice")(*batch)
    torch.testing.assert_close(SegmentationLoss("ohem + dice")(*batch), expected)


@pytest.mark.parametrize("weights", [None, WEIGHTS], ids=["plain", "weighted"])
@pytest.mark.parametrize("name", [*ALL, "+".join(LOSSES)])
def test_a_batch_without_labels_costs_nothing(name, weights):
    logits = torch.randn(2, CLASSES, 6, 6, requires_grad=True)
    loss = SegmentationLoss(name, weights, 0.1)(logits, torch.full((2, 12, 12), 255))
    loss.backward()
    assert loss.item() == 0
    assert not logits.grad.any()


@pytest.mark.parametrize("name", ALL)
def test_a_image_without_labels_beside_one_with(name, batch):
    logits, target = batch
    target = target.clone()
    target[1] = 255
    logits.requires_grad_()
    loss = SegmentationLoss(name)(logits, target)
    loss.backward()
    assert loss.isfinite() and loss > 0
    assert not logits.grad[1].any()
    assert logits.grad[0].any()


def confident(probabilities):
    """Two-class logits [1, 2, 1, W] and the mask of class 0, which has these probabilities."""
    p = torch.tensor(probabilities, dtype=torch.float32)
    return torch.stack([p.log(), (1 - p).log()])[None, :, None], torch.zeros(1, 1, len(p), dtype=torch.long)


def test_ohem_keeps_what_is_under_seven_tenths():
    loss = SegmentationLoss("ohem")(*confident([0.1, 0.5, 0.69, 0.71, 0.9, 0.99]))
    assert loss.item() == pytest.approx(-(math.log(0.1) + math.log(0.5) + math.log(0.69)) / 3, rel=1e-5)


def test_ohem_keeps_a_sixteenth_when_all_are_easy():
    probabilities = [0.75 + 0.005 * index for index in range(48)]
    logits, target = confident(probabilities)
    logits.requires_grad_()
    loss = SegmentationLoss("ohem")(logits, target)
    loss.backward()
    assert loss.item() == pytest.approx(-sum(map(math.log, probabilities[:3])) / 3, rel=1e-5)
    assert logits.grad[0, 0, 0].nonzero()[:, 0].tolist() == [0, 1, 2]


def test_ohem_counts_its_sixteenth_among_labelled_pixels():
    logits, target = confident([0.75 + 0.005 * index for index in range(48)])
    target[..., :32] = 255
    logits.requires_grad_()
    SegmentationLoss("ohem")(logits, target).backward()
    assert logits.grad[0, 0, 0].nonzero()[:, 0].tolist() == [32]


@pytest.mark.parametrize("kept", [0, 5, 15])
def test_ohem_never_keeps_nothing(kept):
    logits, target = confident([0.9] * 16)
    target[..., :kept] = 255
    assert SegmentationLoss("ohem")(logits, target).item() == pytest.approx(-math.log(0.9), rel=1e-4)


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
@pytest.mark.parametrize("weights", [None, WEIGHTS], ids=["plain", "weighted"])
def test_ohem_is_cross_entropy_when_all_are_hard(weights, smoothing, batch):
    logits, target = batch
    logits = 0.01 * logits
    expected = SegmentationLoss("cross_entropy", weights, smoothing)(logits, target)
    torch.testing.assert_close(SegmentationLoss("ohem", weights, smoothing)(logits, target), expected)


@pytest.mark.parametrize("weights", [[0.01, 1.0], [100.0, 1.0]], ids=["light", "heavy"])
def test_a_classs_weight_does_not_make_its_pixels_hard_or_easy(weights):
    logits, target = confident([0.1, 0.5, 0.8, 0.99])
    logits.requires_grad_()
    loss = SegmentationLoss("ohem", torch.tensor(weights))(logits, target)
    loss.backward()
    assert loss.item() == pytest.approx(-(math.log(0.1) + math.log(0.5)) / 2, rel=1e-5)
    assert logits.grad[0, 0, 0].nonzero()[:, 0].tolist() == [0, 1]


def test_class_weights_are_not_in_the_state_dict():
    assert SegmentationLoss("cross_entropy+ohem", WEIGHTS).state_dict() == {}


def test_class_weights_follow_the_device():
    loss = CrossEntropy(WEIGHTS).to("meta")
    assert loss.class_weights.device.type == "meta"


@pytest.mark.parametrize(("name", "near"), [("cross_entrpy", "cross_entropy"), ("ohm", "ohem"), ("dize", "dice")])
def test_unknown_loss_names_the_nearest(name, near):
    with pytest.raises(ValueError, match=f'no loss "{name}"; did you mean "{near}"'):
        SegmentationLoss(f"focal+{name}")


@pytest.mark.parametrize("name", ["", "zzzz", "dice+"])
def test_a_loss_like_no_other_gets_the_whole_list(name):
    with pytest.raises(ValueError, match=r'no loss "z*" \(there are cross_entropy, .*, lovasz\), joined by "\+"'):
        SegmentationLoss(name)
