"""The averaged weights, beside the same average written out in NumPy."""

import lightning.pytorch as L
import numpy as np
import pytest
import torch
from lightning.pytorch.callbacks import Callback
from torch import nn

from tasks.callbacks import Ema

STEPS = 30


class Network(L.LightningModule):
    def __init__(self):
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Linear(4, 1))

    def training_step(self, batch, index):
        return self.layers(batch[0]).square().mean()

    def validation_step(self, batch, index):
        self.validated = arrays(self)

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.5)


class Recorder(Callback):
    """Weights and statistics behind each step."""

    def __init__(self):
        self.steps = []

    def on_train_batch_end(self, trainer, module, *_):
        self.steps.append(arrays(module))


def arrays(module):
    return {name: tensor.detach().double().numpy().copy() for name, tensor in module.state_dict().items()}


@pytest.mark.parametrize("decay", [0.5, 0.998])
def test_it_is_what_it_says(decay, tmp_path):
    images = torch.utils.data.DataLoader(torch.utils.data.TensorDataset(torch.randn(STEPS * 4, 3)), 4)
    network, recorder = Network(), Recorder()
    quiet = {"logger": False, "enable_progress_bar": False, "enable_model_summary": False, "num_sanity_val_steps": 0}
    trainer = L.Trainer(
        accelerator="cpu", max_epochs=1, callbacks=[recorder, Ema(decay)], default_root_dir=tmp_path, **quiet
    )
    trainer.fit(network, images, images)
    assert len(recorder.steps) == STEPS
    average = recorder.steps[0]
    for t, weights in enumerate(recorder.steps[1:], start=1):
        kept = min(decay, (1 + t) / (10 + t))
        average = {name: kept * average[name] + (1 - kept) * weights[name] for name in weights}
    average["layers.1.num_batches_tracked"] = np.asarray(STEPS)  # a count is copied
    for found in (network.validated, arrays(network)):
        for name, expected in average.items():
            np.testing.assert_allclose(found[name], expected, rtol=1e-5, atol=1e-6, err_msg=name)
    last = recorder.steps[-1]
    assert any(not np.allclose(last[name], average[name], atol=1e-3) for name in average)
