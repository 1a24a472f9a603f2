"""The LightningDataModule: whole mini-batches of uint8 images out of memory."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
import pytorch_lightning as pl
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Sampler
from torch.utils.data import Dataset as TorchDataset

from naswot_lightning.config import ProbeSplit
from naswot_lightning.data.dataset import Dataset, ImageSplit
from naswot_lightning.data.probe import Probe, draw_probe
from naswot_lightning.data.sources import load_dataset
from naswot_lightning.seeds import derived_seed

# The share of a GPU's free memory that the images of one split may take: CIFAR-10's 50,000 are 150 MB.
_SHARE = 0.05


class _Batches(TorchDataset[tuple[Tensor, Tensor]]):
    """Gathers a whole mini-batch with one index operation, on a device where there is one that holds all images."""

    def __init__(self, split: ImageSplit, device: torch.device | None = None) -> None:
        self._split = split
        if device is not None and isinstance(split.images, Tensor):
            self._split = ImageSplit(split.images.to(device), split.labels.to(device))

    def __len__(self) -> int:
        return len(self._split)

    def __getitems__(self, indices: list[int]) -> tuple[Tensor, Tensor]:
        # Copies whole images: .014 ms instead of the .22 ms of indexing with brackets, for 256 of CIFAR's in cache.
        # Kilobytes, which a GPU takes without a wait for what it is at.
        chosen = torch.from_numpy(np.array(indices)).to(self._split.labels.device, non_blocking=True)
        return self._split.images.index_select(0, chosen), self._split.labels.index_select(0, chosen)

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        return self._split.images[[index]][0], self._split.labels[index]


class EpochShuffle(Sampler[int]):
    """A permutation that depends on seed and epoch alone, so that a resumed run sees the same order.

    Several processes take its indices in turn: together they see the mini-batches that one would. The first images are
    repeated where the shares would differ in length; the classifier counts them for nothing.
    """

    def __init__(self, size: int, seed: int, processes: int = 1, rank: int = 0) -> None:
        self._size, self._seed, self._processes, self._rank = size, seed, processes, rank
        self._epoch = 0

    def set_epoch(self, epoch: int) -> None:
        """Take the permutation of this epoch; the Trainer calls it."""
        self._epoch = epoch

    def __len__(self) -> int:
        return -(-self._size // self._processes)

    def __iter__(self) -> Iterator[int]:
        generator = torch.Generator().manual_seed(derived_seed(self._seed, "order", self._epoch))
        order = torch.randperm(self._size, generator=generator).tolist()
        order += order[: len(self) * self._processes - self._size]
        return iter(order[self._rank :: self._processes])


class ResumableLoader(DataLoader[Any]):
    """Continues inside an epoch: its state, which Lightning saves, is how many mini-batches it has given out."""

    _given = _skipped = 0

    def __iter__(self) -> Iterator[Any]:  # type: ignore[override]
        """Give out the mini-batches of an epoch, from where a checkpoint ended."""
        # Those before that are gathered once more and dropped, .1 ms each; what is random in them is drawn later, by
        # their position.
        self._given, self._skipped = self._skipped, 0
        for batch in itertools.islice(super().__iter__(), self._given, None):
            self._given += 1
            yield batch

    def state_dict(self) -> dict[str, int]:
        """Return how many mini-batches of the epoch were given out."""
        return {"given": self._given}

    def load_state_dict(self, state_dict: dict[str, int]) -> None:
        """Leave out so many at the next start."""
        self._skipped = int(state_dict["given"])


class ImageDataModule(pl.LightningDataModule):
    """Mini-batches (images (N, H, W, 3) uint8, labels (N,)) of one data set.

    Images stay uint8 until they are on the device, where the classifier augments and normalises them.

    Args:
        name, data_dir, image_size, split_file: of :func:`~naswot_lightning.data.sources.load_dataset`.
        batch_size: images per step.
        seed: of the order of the training images.
        dataset: an already loaded data set, instead of loading ``name``.
    """

    def __init__(
        self,
        name: str,
        data_dir: str,
        batch_size: int,
        seed: int = 0,
        image_size: int | None = None,
        split_file: str | None = None,
        dataset: Dataset | None = None,
    ) -> None:
        super().__init__()
        self.save_hyperparameters(ignore=["dataset"], logger=False)
        self._dataset = dataset

    @property
    def dataset(self) -> Dataset:
        """The data set, loaded on first use."""
        if self._dataset is None:
            hyper = self.hparams
            self._dataset = load_dataset(hyper["name"], hyper["data_dir"], hyper["image_size"], hyper["split_file"])
        return self._dataset

    def probe(self, batch_size: int, seed: int, split: ProbeSplit = "train") -> Probe:
        """Return the fixed mini-batch of the training images, or of the test images, for scoring."""
        return draw_probe(self.dataset, batch_size, seed, option="probe_batch_size", split=split)

    def train_dataloader(self) -> DataLoader[Any]:
        """Shuffled mini-batches of the training split; the last may be smaller, as in the benchmark."""
        train = self.dataset.train
        order = EpochShuffle(len(train), self.hparams["seed"], *self._processes())
        return self._loader(train, order, ResumableLoader)

    def val_dataloader(self) -> DataLoader[Any] | list[DataLoader[Any]]:
        """Mini-batches of the validation split; an empty list where there is none, with which Lightning skips it."""
        return [] if self.dataset.val is None else self._evaluation_loader(self.dataset.val)

    def test_dataloader(self) -> DataLoader[Any]:
        """Mini-batches of the test split."""
        return self._evaluation_loader(self.dataset.test)

    def predict_dataloader(self) -> DataLoader[Any]:
        """Mini-batches of the test split."""
        return self.test_dataloader()

    def _evaluation_loader(self, split: ImageSplit) -> DataLoader[Any]:
        # Each image once, where Lightning's own sampler would repeat some to make the shares of processes equal.
        processes, rank = self._processes()
        return self._loader(split, range(rank, len(split), processes))

    def _processes(self) -> tuple[int, int]:
        """Return how many processes train together, and which this is."""
        return (1, 0) if self.trainer is None else (self.trainer.world_size, self.trainer.global_rank)

    def _device_for(self, split: ImageSplit) -> torch.device | None:
        """Return the GPU of the training, where it holds all images of a split in a small part of its free memory."""
        device = None if self.trainer is None else self.trainer.strategy.root_device
        if device is None or device.type != "cuda" or not isinstance(split.images, Tensor):
            return None
        return device if split.images.nbytes <= _SHARE * torch.cuda.mem_get_info(device)[0] else None

    def _loader(
        self, split: ImageSplit, sampler: Iterable[int], kind: type[DataLoader[Any]] = DataLoader
    ) -> DataLoader[Any]:
        images = _Batches(split, self._device_for(split))
        # Mini-batches come whole, so that there is nothing to collate.
        return kind(images, batch_size=self.hparams["batch_size"], sampler=sampler, collate_fn=lambda batch: batch)
