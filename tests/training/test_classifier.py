"""The network that is trained, its losses, and their means."""

import math

import pytest
import pytorch_lightning as pl
import torch
import torch.nn.functional as F
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode

from naswot_lightning.data.augmentation import normalized
from naswot_lightning.data.dataset import Dataset, ImageSplit
from naswot_lightning.data.module import ImageDataModule
from naswot_lightning.spaces import get_space, trust
from naswot_lightning.training.classifier import ImageClassifier, has_unused_parameters, work_around_channels_last_bug
from naswot_lightning.training.trainer import balanced_weights
from tests.images import make_image_folder
from tests.spaces.nds.architectures import GENOTYPES
from tests.training.runs import OWN, SMALL

CELL = f"C4-L4|{GENOTYPES['DARTS_V2']}"
STATISTICS = [100.0] * 3, [50.0] * 3


def trainer(**options):
    return pl.Trainer(
        accelerator="cpu", logger=False, enable_checkpointing=False, enable_progress_bar=False,
        enable_model_summary=False, num_sanity_val_steps=0, **options,
    )  # fmt: skip


def test_mean_loss_is_that_of_the_images_and_nan_with_a_nan():
    data = ImageDataModule("digits", "", 64, seed=0)
    dataset = data.dataset
    model = ImageClassifier("nasbench201", SMALL, dataset.num_classes, list(dataset.mean), list(dataset.std))
    found = trainer().test(model, data, verbose=False)[0]["test/loss"]
    assert len(dataset.test) % 64 not in (0, 63)  # the last mini-batch has another size
    model.eval()
    with torch.no_grad():
        logits = [model(normalized(images, model.mean, model.std)) for images in dataset.test.images.split(64)]
        losses = F.cross_entropy(torch.cat(logits), dataset.test.labels, reduction="none")
        assert found == pytest.approx(float(losses.double().mean()), rel=1e-5)
        means = [float(part.mean()) for part in losses.split(64)]
        assert sum(means) / len(means) != pytest.approx(found, rel=1e-4)  # that of the mini-batches differs
        model.network.classifier.bias.fill_(math.nan)
    assert math.isnan(trainer().test(model, data, verbose=False)[0]["test/loss"])


class CountedWaits(pl.Callback):
    """Counts in each training step what a GPU would have to be waited for."""

    def __init__(self):
        self.counts = []

    def on_train_batch_start(self, *_):
        self.mode = Seen()
        self.mode.__enter__()

    def on_train_batch_end(self, *_):
        self.mode.__exit__(None, None, None)
        names = ("_local_scalar_dense", "is_nonzero", "nonzero", "equal", "masked_select")
        self.counts.append(sum(self.mode.names.count(name) for name in names))


class Seen(TorchDispatchMode):
    def __init__(self):
        super().__init__()
        self.names = []

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        self.names.append(function.overloadpacket.__name__)
        return function(*args, **(kwargs or {}))


def test_a_training_step_waits_for_nothing():
    data = ImageDataModule("digits", "", 16, seed=0)
    dataset = data.dataset
    model = ImageClassifier("nasbench201", SMALL, dataset.num_classes, list(dataset.mean), list(dataset.std))
    waits = CountedWaits()
    limits = {"max_epochs": 1, "limit_train_batches": 4, "limit_val_batches": 1}
    trainer(callbacks=[waits], gradient_clip_val=5.0, **limits).fit(model, data)
    assert waits.counts == [0] * 4


def test_auxiliary_head_and_drop_path_do_not_change_the_network_that_was_scored():
    plain = ImageClassifier("nds_darts", CELL, 3, *STATISTICS, seed=5)
    parts = ImageClassifier("nds_darts", CELL, 3, *STATISTICS, seed=5, auxiliary_weight=0.4, drop_path=0.2)
    assert parts.network.auxiliary_head is not None
    assert plain.network.auxiliary_head is None
    own = dict(parts.network.cells.named_parameters())
    assert own
    assert all(value.equal(own[name]) for name, value in plain.network.cells.named_parameters())
    with pytest.raises(ValueError, match="no auxiliary head and no drop path"):
        get_space("nasbench201").with_training_parts(SMALL, True, 0.0)


def test_label_smoothing_and_auxiliary_loss_enter_the_training_loss_alone():
    torch.manual_seed(0)
    parts = {"label_smoothing": 0.2, "auxiliary_weight": 0.5, "drop_path": 0.1}
    model = ImageClassifier("nds_darts", CELL, 3, *STATISTICS, **parts)
    model.log = lambda *_, **__: None
    images, labels = torch.randint(256, (6, 32, 32, 3), dtype=torch.uint8), torch.tensor([0, 1, 2, 0, 1, 2])
    model.network.drop_path = 0.0
    normal = (images.permute(0, 3, 1, 2).float() - 100) / 50
    logits, auxiliary = model.train().network(normal)
    smooth = torch.full((6, 3), 0.2 / 3).scatter_add(1, labels[:, None], torch.full((6, 1), 0.8))

    def loss(values, target):
        return -(target * values.log_softmax(1)).sum(1).mean()

    expected = loss(logits, smooth) + 0.5 * loss(auxiliary, smooth)
    assert model._evaluate(normal, labels, "train").item() == pytest.approx(expected.item(), rel=1e-5)
    logits = model.eval().network(normal)
    value = model._evaluate(normal, labels, "val").item()
    assert value == pytest.approx(loss(logits, F.one_hot(labels, 3).float()).item(), rel=1e-5)


def test_drop_path_grows_over_the_epochs_and_a_head_of_the_architecture_is_trained(tmp_path):
    seen = []

    class Watch(pl.Callback):
        def on_train_batch_start(self, trainer, pl_module, batch, batch_idx):
            seen.append(pl_module.network.drop_path)

    data = make_image_folder(tmp_path / "images", {"train": 4, "test": 2}, size=32)
    module = ImageDataModule("imagefolder", str(data), batch_size=12)
    model = ImageClassifier("nds_darts", CELL.replace("|", "-aux-drop0.2|", 1), 3, *STATISTICS, drop_path=0.3)
    head = model.network.auxiliary_head.classifier.weight
    before = head.detach().clone()
    trainer(max_epochs=3, callbacks=[Watch()]).fit(model, module)
    assert seen == pytest.approx([0.0, 0.1, 0.2])
    assert not head.equal(before)
    assert model.eval()(torch.randn(2, 3, 32, 32)).shape == (2, 3)


def test_learning_rate_rises_over_the_warmup_and_falls_along_a_cosine(tmp_path):
    rates = []

    class Watch(pl.Callback):
        def on_train_batch_start(self, trainer, pl_module, batch, batch_idx):
            rates.append(trainer.optimizers[0].param_groups[0]["lr"])

    data = make_image_folder(tmp_path / "images", {"train": 4, "test": 2}, size=8)
    module = ImageDataModule("imagefolder", str(data), batch_size=4)
    model = ImageClassifier(
        "nasbench201", SMALL, 3, *STATISTICS, optimizer="adamw", lr=0.3, warmup_epochs=1, class_weights=[1.0, 2.0, 0.5]
    )
    trainer(max_epochs=3, callbacks=[Watch()]).fit(model, module)
    falling = [0.15 * (1 + math.cos(math.pi * step / 6)) for step in range(6)]
    assert rates == pytest.approx([0.1, 0.2, 0.3, *falling])
    optimizer = model.optimizers().optimizer
    assert (type(optimizer), optimizer.defaults["betas"]) == (torch.optim.AdamW, (0.9, 0.999))


def test_class_weights_let_each_class_count_alike_in_the_training_loss_alone():
    images, labels = torch.randint(256, (6, 8, 8, 3), dtype=torch.uint8), torch.tensor([0, 0, 0, 0, 1, 1])
    split = ImageSplit(images, labels)
    weights = balanced_weights(Dataset("", split, None, split, 3, (0.0,) * 3, (1.0,) * 3, flip=False, crop_padding=0))
    assert weights == [0.5, 1.0, 0.0]
    model = ImageClassifier("nasbench201", SMALL, 3, *STATISTICS, class_weights=weights).train()
    model.log = lambda *_, **__: None
    normal = normalized(images, model.mean, model.std)
    losses = F.cross_entropy(model.network(normal), labels, reduction="none")
    expected = (losses[:4].mean() + losses[4:].mean()) / 2
    assert model._evaluate(normal, labels, "train").item() == pytest.approx(expected.item(), rel=1e-5)
    assert model._evaluate(normal, labels, "val").item() == pytest.approx(losses.mean().item(), rel=1e-5)


def test_logits_are_trained_and_not_the_features_before_them():
    images, labels = torch.randn(6, 3, 32, 32), torch.tensor([0, 1, 2, 0, 1, 2])
    trust(OWN)
    model = ImageClassifier(OWN, "features", 3, *STATISTICS).train()
    model.log = lambda *_, **__: None
    _, logits = model.network(images)
    assert model(images).equal(logits)
    assert model._evaluate(images, labels, "train").item() == F.cross_entropy(logits, labels).item()
    assert not has_unused_parameters(model, 32)
    alike = ImageClassifier(OWN, "features", 16, *STATISTICS)
    with pytest.raises(ValueError, match=r"returned \(6, 16\) and \(6, 16\): .* a dict with 'logits'"):
        alike._evaluate(images, labels, "train")


def test_channels_last_bug_worked_around_computes_the_same_in_small_strided_convolutions_only():
    torch.manual_seed(0)
    plain = nn.Sequential(nn.Conv2d(6, 20, 1, stride=2), nn.ReLU(), nn.Conv2d(20, 4, 1, stride=2))
    spared = nn.Sequential(nn.Conv2d(6, 20, 1, stride=2), nn.ReLU(), nn.Conv2d(20, 4, 1, stride=2))
    spared.load_state_dict(plain.state_dict())
    work_around_channels_last_bug(spared.to(memory_format=torch.channels_last))
    images = torch.randn(8, 6, 12, 12)
    given = [images.clone().requires_grad_() for _ in range(2)]
    for network, batch in zip((plain, spared), given, strict=True):
        network(batch).square().sum().backward()
    assert torch.allclose(given[0].grad, given[1].grad, atol=1e-5)
    for ours, theirs in zip(spared.parameters(), plain.parameters(), strict=True):
        assert torch.allclose(ours.grad, theirs.grad, atol=1e-4)
    network = nn.Sequential(nn.Conv2d(3, 8, 3, 2), nn.Conv2d(8, 8, 1), nn.Conv2d(16, 8, 1, 2), nn.Conv2d(8, 8, 1, 2))
    work_around_channels_last_bug(network)
    assert [len(module._forward_pre_hooks) for module in network] == [0, 0, 0, 1]
