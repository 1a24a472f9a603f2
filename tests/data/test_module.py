from types import SimpleNamespace

import torch

from naswot_lightning.data.dataset import Dataset, ImageSplit
from naswot_lightning.data.module import EpochShuffle, ImageDataModule


def test_epoch_shuffle_depends_on_seed_and_epoch():
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


def test_loader_continued_inside_an_epoch_gives_the_rest_of_it():
    whole = [labels for _, labels in ImageDataModule("digits", "", batch_size=100).train_dataloader()]
    loader = ImageDataModule("digits", "", batch_size=100).train_dataloader()
    begun = iter(loader)
    for _ in range(3):
        next(begun)
    again = ImageDataModule("digits", "", batch_size=100).train_dataloader()
    again.load_state_dict(loader.state_dict())
    assert torch.cat([labels for _, labels in again]).equal(torch.cat(whole[3:]))
    assert len(list(again)) == len(whole)  # the next epoch is whole


def test_processes_together_see_what_one_would():
    split = ImageSplit(torch.zeros(31, 2, 2, 3, dtype=torch.uint8), torch.arange(31))
    dataset = Dataset("digits", split, split, split, 31, (1.0,) * 3, (1.0,) * 3, False, 0)
    one = ImageDataModule("digits", "", 31, dataset=dataset)
    shares = [ImageDataModule("digits", "", 11, dataset=dataset) for _ in range(3)]
    for rank, share in enumerate(shares):
        share.trainer = SimpleNamespace(world_size=3, global_rank=rank)
    trains = [share.train_dataloader() for share in shares]
    orders = []
    for epoch in (0, 1):
        whole = one.train_dataloader()
        for loader in (whole, *trains):
            loader.sampler.set_epoch(epoch)
        order = next(iter(whole))[1].tolist()
        repeated = order + order[:2]  # so that all have 11
        assert [next(iter(loader))[1].tolist() for loader in trains] == [repeated[rank::3] for rank in range(3)]
        orders.append(order)
    assert orders[0] != orders[1]
    # Each image counts once in an accuracy.
    assert [next(iter(share.test_dataloader()))[1].tolist() for share in shares] == [
        list(range(31))[rank::3] for rank in range(3)
    ]
