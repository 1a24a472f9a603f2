import torch
from lightning_fabric.utilities.data import _set_sampler_epoch
from lightning_fabric.utilities.distributed import DistributedSamplerWrapper
from pytorch_lightning.utilities.data import _update_dataloader
from torch.utils.data import DistributedSampler, SequentialSampler

from naswot_lightning.data.dataset import Dataset, ImageSplit
from naswot_lightning.data.module import EpochShuffle, ImageDataModule


def test_epochs_are_shuffled_by_seed_and_epoch():
    order = EpochShuffle(50, seed=1)
    first = list(order)
    order.set_epoch(1)
    second = list(order)
    order.set_epoch(0)
    assert sorted(first) == sorted(second) == list(range(50))
    assert first != second
    assert list(order) == first


def test_mini_batches_are_gathered_whole():
    module = ImageDataModule("digits", "", batch_size=500)
    batches = list(module.train_dataloader())
    assert [len(labels) for _, labels in batches] == [500, 500, 203]
    assert batches[0][0].shape == (500, 16, 16, 3)
    assert batches[0][0].dtype == torch.uint8
    labels = torch.cat([labels for _, labels in batches])
    assert labels.bincount().equal(module.dataset.train.labels.bincount())


def _distributed(loader, epoch, rank, replicas=3):
    """The mini-batches of one of several processes, its sampler replaced as the Trainer does."""
    sampler = DistributedSamplerWrapper(loader.sampler, num_replicas=replicas, rank=rank, shuffle=True, seed=7)
    loader = _update_dataloader(loader, sampler)
    _set_sampler_epoch(loader, epoch)
    return list(loader)


def test_distributed_processes_see_disjoint_parts_of_each_epoch(tmp_path):
    images = torch.zeros(300, 2, 2, 3, dtype=torch.uint8)
    split = ImageSplit(images, torch.arange(300))
    dataset = Dataset("digits", split, split, split, 300, (1.0,) * 3, (1.0,) * 3, False, 0)
    orders = []
    for epoch in (0, 1, 0):
        loaders = [ImageDataModule("digits", "", 32, dataset=dataset).train_dataloader() for _ in range(3)]
        parts = [_distributed(loader, epoch, rank) for rank, loader in enumerate(loaders)]
        assert [[len(labels) for _, labels in part] for part in parts] == [[32, 32, 32, 4]] * 3
        seen = [torch.cat([labels for _, labels in part]) for part in parts]
        assert torch.cat(seen).sort().values.equal(torch.arange(300))
        orders.append(torch.stack(seen))
    assert orders[0].equal(orders[2])
    assert not orders[0].equal(orders[1])


def test_the_epochs_order_reaches_the_processes_parts():
    """Without a shuffle of its own the wrapper deals out the order of the epoch in turn."""
    order = EpochShuffle(10, seed=3)
    wrappers = [DistributedSamplerWrapper(order, num_replicas=2, rank=rank, shuffle=False) for rank in (0, 1)]
    for epoch in (0, 4):
        for wrapper in wrappers:
            wrapper.set_epoch(epoch)
        expected = EpochShuffle(10, seed=3)
        expected.set_epoch(epoch)
        whole = list(expected)
        assert [list(wrapper) for wrapper in wrappers] == [whole[::2], whole[1::2]]


def test_evaluation_is_dealt_out_in_turn():
    loader = ImageDataModule("digits", "", batch_size=50).test_dataloader()
    assert isinstance(loader.sampler, SequentialSampler)  # which the Trainer replaces by a DistributedSampler
    parts = [list(DistributedSampler(loader.dataset, 3, rank, shuffle=False)) for rank in range(3)]
    assert sorted(index for part in parts for index in part) == list(range(297))
