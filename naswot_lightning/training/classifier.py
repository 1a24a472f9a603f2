"""The LightningModule that trains one network to classify images."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torchmetrics import Metric
from torchmetrics.classification import MulticlassConfusionMatrix

from naswot_lightning.console import counted
from naswot_lightning.data.augmentation import Placements, draw_placements, normalized, placed
from naswot_lightning.logits import auxiliary_logits_of, logits_of
from naswot_lightning.networks import build_network
from naswot_lightning.scores.gradients import replaced
from naswot_lightning.seeds import derived_seed, seed_device
from naswot_lightning.spaces import known_space

Batch = tuple[Tensor, Tensor]

_TRAINING_METRICS = ("train_loss", "train_acc")

# Weight of the loss of a head that the architecture itself names, where the recipe has none (Liu et al., 2019).
AUXILIARY_WEIGHT = 0.4
# RMSprop of NAS-Bench-101 (Ying et al., 2019): its epsilon stands under the root, torch's beside it; with gradients far
# below 1 both divide by about 1.
_RMSPROP_DECAY, _RMSPROP_EPSILON = 0.9, 1.0
_ADAMW_SECOND_BETA = 0.999
# From so many input channels on, the bug of work_around_channels_last_bug was never seen.
_ENOUGH_CHANNELS = 16


class Mean(Metric):
    """A mean over images that waits for no device, as torchmetrics' own do in each step; with a NaN it is NaN."""

    full_state_update = False
    total: Tensor
    weight: Tensor

    def __init__(self) -> None:
        super().__init__()
        for name in ("total", "weight"):
            self.add_state(name, torch.zeros(()), "sum")

    def update(self, total: Tensor, weight: int) -> None:
        """Add what the values of so many images sum up to."""
        self.total += total
        self.weight += weight

    def compute(self) -> Tensor:
        """Return the mean."""
        return self.total / self.weight


class ImageClassifier(pl.LightningModule):
    """One architecture and the recipe that trains it; the learning rate falls to zero along a cosine, step by step.

    Mini-batches are (images (N, H, W, 3) uint8, labels (N,)); they are augmented and normalised on the device.
    All arguments are plain, so that ``ImageClassifier.load_from_checkpoint(path)`` needs no others.

    Args:
        space: an import path of your own must be trusted (:func:`naswot_lightning.spaces.trust`), since a checkpoint
            may name it.
        architecture: the network to build.
        num_classes, mean, std: of the data set; mean and std per channel, of 255.
        flip, crop_padding: mirror training images at random, and crop them at random out of so much zero padding.
        seed: of the weights (the same as those the search scored) and of the augmentation.
        lr, momentum, weight_decay, optimizer, label_smoothing, auxiliary_weight, drop_path, warmup_epochs: those of
            :class:`~naswot_lightning.training.settings.Recipe`.
        compiled: train through torch.compile, in this mode where one is named; the score is that of the network itself.
        image_size: side of the images, for those who load the checkpoint.
        classes: their names, likewise.
        class_weights: of each class in the training loss; None for 1.
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
        optimizer: str = "sgd",
        label_smoothing: float = 0.0,
        auxiliary_weight: float = 0.0,
        drop_path: float = 0.0,
        compiled: bool | str = False,
        image_size: int | None = None,
        classes: list[str] | None = None,
        warmup_epochs: int = 0,
        class_weights: list[float] | None = None,
    ) -> None:
        super().__init__()
        self.save_hyperparameters()
        self.network = build_network(
            known_space(space), architecture, seed, num_classes, auxiliary=auxiliary_weight > 0, drop_path=drop_path
        )
        # In a tuple, so that it is no second module of the same weights.
        mode = compiled if isinstance(compiled, str) else None
        self._run = (torch.compile(self.network, mode=mode) if compiled else self.network,)
        if known_space(space).channels_last:
            self.network.to(memory_format=torch.channels_last)
            work_around_channels_last_bug(self.network)
        # With an epoch: all that a checkpoint holds was taken.
        self.has_begun = False
        # That the epoch began with.
        self._lr = lr
        self._so_far: dict[str, Tensor] | None = None
        self.register_buffer("mean", torch.tensor(mean), persistent=False)
        self.register_buffer("std", torch.tensor(std), persistent=False)
        weights = None if class_weights is None else torch.tensor(class_weights)
        self.register_buffer("class_weights", weights, persistent=False)
        for stage in ("train", "val", "test"):
            self.add_module(f"{stage}_loss", Mean())
            self.add_module(f"{stage}_acc", Mean())
        self._confused = MulticlassConfusionMatrix(num_classes, validate_args=False)
        # (C, C): test images of a class (row) that were taken for another (column), once tested.
        self.confusion: Tensor | None = None

    def forward(self, images: Tensor) -> Tensor:
        """Map normalised images (N, 3, H, W) to logits (N, num_classes)."""
        return self._logits(self.network(images), len(images))[0]

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """Return the loss of one augmented mini-batch."""
        images, labels = batch
        world, rank = self.trainer.world_size, self.global_rank
        together, own = self._share(len(images), batch_idx)
        step = self.hparams["seed"], "augmentation", self.current_epoch, batch_idx
        # Dropout and drop path draw the same in a resumed run.
        seed_device(self.device, derived_seed(*step, "network", rank))
        # Drawn for the mini-batches of all processes, of which the samplers deal out the images in turn.
        generator = torch.Generator(self.device).manual_seed(derived_seed(*step))
        draws = draw_placements(together, self.hparams["flip"], self.hparams["crop_padding"], generator)
        # A process without images of its own does what the first does, and it counts for nothing.
        draws = Placements(*(draw[rank if own else 0 :: world] for draw in draws))
        images, labels = images[: own or 1], labels[: own or 1]
        share = self._weigh(labels, own, together)
        loss = self._evaluate(placed(images, draws, self.mean, self.std), labels, "train", own, share)  # type: ignore[arg-type]
        # DDP takes the mean over processes: with this, that over images.
        return loss if share is own and own * world == together else loss * (share * world / together)

    def _share(self, images: int, batch_idx: int) -> tuple[int, int]:
        """Return of how many images a mini-batch of all processes is, and this one's; some are repeated in the last."""
        world = self.trainer.world_size
        if world == 1:
            return images, images
        loader: Any = self.trainer.train_dataloader
        together = min(images * world, len(loader.dataset) - batch_idx * loader.batch_size * world)
        return together, len(range(self.global_rank, together, world))

    def _weigh(self, labels: Tensor, own: int, together: int) -> int | Tensor:
        """Return for how many images of the mini-batch of all processes the mean over this one's counts."""
        if self.trainer.world_size == 1 or self.class_weights is None:
            return own
        weight: Tensor = self.class_weights[labels].sum() * (own > 0)  # type: ignore[index]
        # Not by Lightning's reduce, which waits for the device.
        torch.distributed.all_reduce(total := weight.clone())
        return together * weight / total

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        """Log loss and accuracy of the validation split."""
        self._evaluate(normalized(batch[0], self.mean, self.std), batch[1], "val")  # type: ignore[arg-type]

    def test_step(self, batch: Batch, batch_idx: int) -> None:
        """Log loss and accuracy of the test split."""
        self._evaluate(normalized(batch[0], self.mean, self.std), batch[1], "test")  # type: ignore[arg-type]

    def on_test_epoch_end(self) -> None:
        """Keep the confusion matrix, summed over all processes."""
        self.confusion = self._confused.compute().cpu()
        self._confused.reset()

    def predict_step(self, batch: Any, batch_idx: int) -> Tensor:
        """Return the probability of each class, (N, num_classes); a mini-batch may have labels or not."""
        images = batch[0] if isinstance(batch, list | tuple) else batch
        return self(normalized(images, self.mean, self.std)).softmax(1)  # type: ignore[arg-type]

    def on_train_start(self) -> None:
        """Where training continues inside an epoch, take up its means; the first of other processes has them all."""
        self._set_drop_path()
        before = now = self.trainer.world_size
        for name, values in (self._so_far or {}).items():
            metric, _, state = name.partition(".")
            before = len(values)
            value = values[self.global_rank] if before == now else values.sum() * (self.global_rank == 0)
            setattr(getattr(self, metric), state, value.to(self.device))
        self._so_far = None
        if before != now and self.global_rank == 0:
            name = Path(self.trainer.default_root_dir).name
            print(
                f"{name}: on {counted(now, 'device')} from here, on {before} before: BatchNorm sees each device's "
                "share of a mini-batch, dropout is drawn for each, and sums are rounded otherwise, so that the result "
                "is that of neither",
                flush=True,
            )

    def on_train_epoch_start(self) -> None:
        """Note the learning rate that the epoch begins with, and set its probability of drop path."""
        self.has_begun = True
        self._lr = float(self.trainer.optimizers[0].param_groups[0]["lr"])
        self._set_drop_path()
        for name in _TRAINING_METRICS:
            getattr(self, name).reset()

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Add what the epoch's means are made of so far in each process."""
        states = {
            f"{name}.{state}": self.all_gather(value).reshape(-1).cpu()  # type: ignore[union-attr]
            for name in _TRAINING_METRICS
            for state, value in getattr(self, name).metric_state.items()
        }
        checkpoint["epoch_so_far"] = {"lr": self._lr, "metrics": states}

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Keep them until training starts."""
        so_far = checkpoint.get("epoch_so_far", {})
        self._lr, self._so_far = so_far.get("lr", 0.0), so_far.get("metrics")

    def _set_drop_path(self) -> None:
        if self.hparams["drop_path"]:
            progress = self.current_epoch / (self.trainer.max_epochs or 1)
            self.network.drop_path = self.hparams["drop_path"] * progress

    def configure_optimizers(self) -> Any:
        """Return the optimizer, its rate falling to zero along a cosine, step by step, after it has risen."""
        hyper = self.hparams
        shared = {name: hyper[name] for name in ("lr", "momentum", "weight_decay")}
        weights = self.network.parameters()
        optimizer: torch.optim.Optimizer
        if hyper["optimizer"] == "rmsprop":
            optimizer = torch.optim.RMSprop(weights, alpha=_RMSPROP_DECAY, eps=_RMSPROP_EPSILON, **shared)
        elif hyper["optimizer"] == "adamw":
            betas = hyper["momentum"], _ADAMW_SECOND_BETA
            optimizer = torch.optim.AdamW(weights, hyper["lr"], betas, weight_decay=hyper["weight_decay"])
        else:
            optimizer = torch.optim.SGD(weights, nesterov=hyper["momentum"] > 0, **shared)
        steps = int(self.trainer.estimated_stepping_batches)
        rising = steps * hyper["warmup_epochs"] // (self.trainer.max_epochs or 1)
        scheduler: torch.optim.lr_scheduler.LRScheduler
        scheduler = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=steps - rising)
        if rising:
            # From lr / n in the first of n steps.
            first = torch.optim.lr_scheduler.LinearLR(optimizer, 1 / rising, total_iters=rising - 1)
            scheduler = torch.optim.lr_scheduler.SequentialLR(optimizer, [first, scheduler], [rising])
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": scheduler, "interval": "step"}}

    def _evaluate(
        self, images: Tensor, labels: Tensor, stage: str, counted: int | None = None, share: int | Tensor | None = None
    ) -> Tensor:
        training = stage == "train"
        how: dict[str, Any] = {
            "label_smoothing": self.hparams["label_smoothing"] if training else 0.0,
            "weight": self.class_weights if training else None,
        }
        logits, *auxiliary = self._logits(self._run[0](images), len(images))
        loss = F.cross_entropy(logits, labels, **how)
        for more in auxiliary:
            weight = self.hparams["auxiliary_weight"] or AUXILIARY_WEIGHT
            loss = loss + weight * F.cross_entropy(more, labels, **how)
        mean_loss, accuracy = getattr(self, f"{stage}_loss"), getattr(self, f"{stage}_acc")
        first = not mean_loss.update_called
        count = len(labels) if counted is None else counted
        mean_loss.update(loss.detach() * (count if share is None else share), count)
        accuracy.update((logits.detach().argmax(1) == labels).sum() * bool(count), count)
        if stage == "test":
            self._confused.update(logits.detach(), labels)
        # Lightning takes the values at the end of the epoch: one announcement is enough.
        if first:
            self.log_dict({f"{stage}/loss": mean_loss, f"{stage}/acc": accuracy}, on_step=False, on_epoch=True)
            # Epochs done, as the trajectory counts them; Lightning's own is the index of the epoch.
            if stage != "test":
                self.log("epoch", float(self.current_epoch + 1), on_step=False, on_epoch=True, reduce_fx="max")
            if stage == "train":
                self.log("lr", self._lr, on_step=False, on_epoch=True)
        return loss

    def _logits(self, output: Any, images: int) -> list[Tensor]:
        """Return the logits, then those of auxiliary heads, of what the network returned."""
        shape = images, self.hparams["num_classes"]
        return [logits_of(output, *shape), *auxiliary_logits_of(output, *shape)]


def has_unused_parameters(model: ImageClassifier, image_size: int) -> bool:
    """Return whether no gradient of the loss reaches some parameter, as in a dead branch; nothing is changed."""
    images = torch.zeros(2, 3, image_size, image_size, device=model.device)
    network = model.network.train()
    with replaced(network, {id(buffer): buffer.clone() for buffer in network.buffers()}):
        output = network(images)
    total = torch.stack([logits.sum() for logits in model._logits(output, len(images))]).sum()
    gradients = torch.autograd.grad(total, [p for p in network.parameters() if p.requires_grad], allow_unused=True)
    return any(gradient is None for gradient in gradients)


def work_around_channels_last_bug(network: nn.Module) -> None:
    """Let 1x1 convolutions with a stride and few input channels run in contiguous memory on the CPU.

    In channels_last memory, with several threads and an odd number of images, their backward pass writes beyond its
    memory, which ended trainings with a segmentation fault (torch 2.14.1; 3 to 15 channels crashed, 16 to 64 did not).
    The result is the same, but for rounding.
    """

    def make_contiguous(module: nn.Module, inputs: tuple[Tensor, ...]) -> tuple[Tensor, ...] | None:
        return (inputs[0].contiguous(), *inputs[1:]) if inputs[0].device.type == "cpu" else None

    for module in network.modules():
        if not isinstance(module, nn.Conv2d) or module.kernel_size != (1, 1) or max(module.stride) == 1:
            continue
        if module.in_channels < _ENOUGH_CHANNELS:
            # With the strides of the format: of a 1x1 kernel contiguous() sees none to change.
            module.weight.data = module.weight.data.clone(memory_format=torch.contiguous_format)
            module.register_forward_pre_hook(make_contiguous)
