import math

import pytest
import pytorch_lightning as pl
import torch
import torch.nn.functional as F

from naswot_lightning.data.augmentation import normalized
from naswot_lightning.data.module import ImageDataModule
from naswot_lightning.training.classifier import ImageClassifier

SMALL = "|skip_connect~0|+|none~0|none~1|+|nor_conv_1x1~0|none~1|none~2|"


@pytest.fixture(scope="module")
def data():
    return ImageDataModule("digits", "", 64, seed=0)


def classifier(data):
    dataset = data.dataset
    return ImageClassifier("nasbench201", SMALL, dataset.num_classes, list(dataset.mean), list(dataset.std))


def evaluated(model, data):
    trainer = pl.Trainer(accelerator="cpu", logger=False, enable_progress_bar=False, enable_model_summary=False)
    return trainer.test(model, data, verbose=False)[0]


def test_the_mean_loss_is_that_of_the_images_whatever_the_size_of_the_last_mini_batch(data):
    model = classifier(data)
    found = evaluated(model, data)
    test = data.dataset.test
    assert len(test) % 64 not in (0, 63)
    model.eval()
    with torch.no_grad():
        logits = torch.cat([model(normalized(images, model.mean, model.std)) for images in test.images.split(64)])
        losses = F.cross_entropy(logits, test.labels, reduction="none")
    assert found["test/loss"] == pytest.approx(float(losses.double().mean()), rel=1e-5)
    means = [float(part.mean()) for part in losses.split(64)]
    assert sum(means) / len(means) != pytest.approx(float(losses.mean()), rel=1e-4)  # that of the mini-batches differs


def test_a_loss_that_is_nan_makes_the_mean_nan(data):
    model = classifier(data)
    with torch.no_grad():
        model.network.classifier.bias.fill_(math.nan)
    assert math.isnan(evaluated(model, data)["test/loss"])
