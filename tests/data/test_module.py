from types import SimpleNamespace

import torch

from naswot_lightning.data.dataset import Dataset, ImageSplit
from naswot_lightning.data.module import ImageDataModule, _Batches


def test_mini_batches_are_gathered_whole_and_a_loader_continues_inside_an_epoch():
    module = ImageDataModule("digits", "", batch_size=500)
    loader = module.train_dataloader()
    batches = list(loader)
    assert [len(labels) for _, labels in batches] == [500, 500, 203]
    assert batches[0][0].shape == (500, 16, 16, 3)
    assert batches[0][0].dtype == torch.uint8
    labels = torch.cat([labels for _, labels in batches])
    assert labels.bincount().equal(module.dataset.train.labels.bincount())
    assert not labels[:500].equal(module.dataset.train.labels[:500])
    begun = iter(loader)
    next(begun)
    again = ImageDataModule("digits", "", batch_size=500).train_dataloader()
    again.load_state_dict(loader.state_dict())
    assert torch.cat([labels for _, labels in again]).equal(labels[500:])
    assert len(list(again)) == 3  # the next epoch is whole


def test_mini_batches_of_images_that_a_device_holds_come_from_there():
    images, labels = _Batches(ImageDataModule("digits", "", 8).dataset.train, torch.device("meta")).__getitems__([3, 1])
    assert (images.device.type, images.shape[0], labels.device.type, labels.shape) == ("meta", 2, "meta", (2,))


def test_processes_together_see_what_one_would_in_the_order_of_seed_and_epoch():
    split = ImageSplit(torch.zeros(31, 2, 2, 3, dtype=torch.uint8), torch.arange(31))
    dataset = Dataset("digits", split, split, split, 31, (1.0,) * 3, (1.0,) * 3, False, 0)
    one = ImageDataModule("digits", "", 31, dataset=dataset)
    shares = [ImageDataModule("digits", "", 11, dataset=dataset) for _ in range(3)]
    for rank, share in enumerate(shares):
        share.trainer = SimpleNamespace(
            world_size=3, global_rank=rank, strategy=SimpleNamespace(root_device=torch.device("cpu"))
        )
    trains = [share.train_dataloader() for share in shares]
    orders = []
    for epoch in (0, 1, 0):
        whole = one.train_dataloader()
        for loader in (whole, *trains):
            loader.sampler.set_epoch(epoch)
        order = next(iter(whole))[1].tolist()
        assert sorted(order) == list(range(31))
        repeated = order + order[:2]  # so that all have 11
        assert [next(iter(loader))[1].tolist() for loader in trains] == [repeated[rank::3] for rank in range(3)]
        orders.append(order)
    assert orders[0] == orders[2] != orders[1]
    # Each image counts once in an accuracy.
    assert [next(iter(share.test_dataloader()))[1].tolist() for share in shares] == [
        list(range(31))[rank::3] for rank in range(3)
    ]
