"""The LightningModule that trains one network to classify images."""

from __future__ import annotations

from typing import Any

import pytorch_lightning as pl
import torch
import torch.nn.functional as F
from torch import Tensor
from torchmetrics import Metric
from torchmetrics.classification import MulticlassAccuracy

from naswot_lightning.candidates import build_network
from naswot_lightning.data.augmentation import augmented, normalized
from naswot_lightning.seeds import derived_seed
from spaces import get_space

Batch = tuple[Tensor, Tensor]

AUXILIARY_WEIGHT = 0.4  # of the auxiliary head's loss (Liu et al., 2019)


class MeanLoss(Metric):
    """Mean of the mini-batches' losses, weighted by their images, over all processes."""

    full_state_update = False
    total: Tensor
    count: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.add_state("total", torch.tensor(0.0), dist_reduce_fx="sum")
        self.add_state("count", torch.tensor(0), dist_reduce_fx="sum")

    def update(self, loss: Tensor, count: int) -> None:
        """Add the mean loss of ``count`` images."""
        self.total += loss * count
        self.count += count

    def compute(self) -> Tensor:
        """Return the mean so far."""
        return self.total / self.count


class ImageClassifier(pl.LightningModule):
    """One architecture, trained with the recipe of NAS-Bench-201 (SGD, Nesterov, cosine to zero each step).

    Mini-batches are (images (N, H, W, 3) uint8, labels (N,)); they are augmented and normalised on the device.
    All arguments are plain, so that ``ImageClassifier.load_from_checkpoint(path)`` needs no others.

    Args:
        space: name of the search space.
        architecture: the network to build.
        num_classes: of the data set.
        mean: of each channel, of 255.
        std: of each channel, of 255.
        flip: mirror training images at random.
        crop_padding: zero padding before a random crop of the training images.
        lr: initial learning rate.
        momentum: Nesterov momentum.
        weight_decay: L2 penalty of all parameters.
        seed: of the weights (the same as those the search scored) and of the augmentation.
    """

    def __init__(
        self,
        space: str,
        architecture: str,
        num_classes: int,
        mean: list[float],
        std: list[float],
        flip: bool = True,
        crop_padding: int = 4,
        lr: float = 0.1,
        momentum: float = 0.9,
        weight_decay: float = 5e-4,
        seed: int = 0,
    ) -> None:
        super().__init__()
        self.save_hyperparameters()
        self.network = build_network(get_space(space), architecture, seed, num_classes)
        if get_space(space).channels_last:
            self.network.to(memory_format=torch.channels_last)
        self.register_buffer("mean", torch.tensor(mean), persistent=False)
        self.register_buffer("std", torch.tensor(std), persistent=False)
        for stage in ("train", "val", "test"):
            self.add_module(f"{stage}_loss", MeanLoss())
            self.add_module(f"{stage}_acc", MulticlassAccuracy(num_classes, average="micro", validate_args=False))

    def forward(self, images: Tensor) -> Tensor:
        """Map normalised images (N, 3, H, W) to logits (N, num_classes)."""
        return self.network(images)

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """Return the loss of one augmented mini-batch."""
        images, labels = batch
        hyper = self.hparams
        generator = self._generator(batch_idx)
        images = augmented(images, hyper["flip"], hyper["crop_padding"], generator, self.mean, self.std)  # type: ignore[arg-type]
        return self._evaluate(images, labels, "train")

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        """Log loss and accuracy of the validation split."""
        images, labels = batch
        self._evaluate(normalized(images, self.mean, self.std), labels, "val")  # type: ignore[arg-type]

    def test_step(self, batch: Batch, batch_idx: int) -> None:
        """Log loss and accuracy of the test split."""
        images, labels = batch
        self._evaluate(normalized(images, self.mean, self.std), labels, "test")  # type: ignore[arg-type]

    def on_train_epoch_start(self) -> None:
        """Log the learning rate that the epoch begins with."""
        self.log("lr", self.trainer.optimizers[0].param_groups[0]["lr"])

    def configure_optimizers(self) -> Any:
        """Return SGD with Nesterov momentum, its rate falling to zero along a cosine, step by step."""
        hyper = self.hparams
        optimizer = torch.optim.SGD(
            self.network.parameters(),
            lr=hyper["lr"],
            momentum=hyper["momentum"],
            weight_decay=hyper["weight_decay"],
            nesterov=hyper["momentum"] > 0,
        )
        steps = int(self.trainer.estimated_stepping_batches)
        scheduler = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=steps)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": scheduler, "interval": "step"}}

    def _evaluate(self, images: Tensor, labels: Tensor, stage: str) -> Tensor:
        logits, *auxiliary = _as_list(self(images))
        loss = F.cross_entropy(logits, labels)
        for more in auxiliary:
            loss = loss + AUXILIARY_WEIGHT * F.cross_entropy(more, labels)
        self._measure(stage, loss.detach(), logits.detach(), labels)
        return loss

    def _measure(self, stage: str, loss: Tensor, logits: Tensor, labels: Tensor) -> None:
        mean_loss, accuracy = getattr(self, f"{stage}_loss"), getattr(self, f"{stage}_acc")
        first = not mean_loss.update_called
        mean_loss.update(loss, len(labels))
        accuracy.update(logits, labels)
        if first:  # Lightning takes the values at the end of the epoch: one announcement is enough
            self.log(f"{stage}/loss", mean_loss, on_step=False, on_epoch=True)
            self.log(f"{stage}/acc", accuracy, on_step=False, on_epoch=True)
            # Epochs done, as the score's trajectory counts them; by default Lightning logs the index of the epoch.
            self.log("epoch", float(self.current_epoch + 1), on_step=False, on_epoch=True, reduce_fx="max")

    def _generator(self, batch_idx: int) -> torch.Generator:
        """Return the generator of one mini-batch: a resumed run draws what an uninterrupted one does."""
        parts = (self.hparams["seed"], "augmentation", self.current_epoch, batch_idx, self.global_rank)
        return torch.Generator(self.device).manual_seed(derived_seed(*parts))


def _as_list(output: Tensor | tuple[Tensor, ...]) -> list[Tensor]:
    return list(output) if isinstance(output, tuple) else [output]
