import hashlib

import torch

from naswot_lightning.data.sources import load_dataset


def test_digits_are_real_and_split_without_overlap():
    digits = load_dataset("digits")
    assert [len(s) for s in (digits.train, digits.val, digits.test)] == [1_203, 297, 297]
    assert digits.train.images.shape[1:] == (16, 16, 3)
    assert digits.train.images.dtype == torch.uint8
    assert not digits.flip
    rows = {
        name: {hashlib.md5(i.numpy().tobytes()).hexdigest() for i in getattr(digits, name).images}
        for name in ("train", "val", "test")
    }
    assert not rows["train"] & rows["test"]
    assert not rows["train"] & rows["val"]
    assert sorted(set(digits.test.labels.tolist())) == list(range(10))
