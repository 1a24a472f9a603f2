import pytest

from naswot_lightning.data.probe import load_probe
from naswot_lightning.data.sources import load_dataset
from naswot_lightning.errors import UserError


def test_unknown_data_sets_and_sizes(tmp_path):
    with pytest.raises(UserError, match="did you mean 'cifar10'"):
        load_dataset("cifar-10")
    with pytest.raises(UserError, match="the size of digits is fixed"):
        load_dataset("digits", image_size=12)
    with pytest.raises(UserError, match="digits has 1203 training images"):
        load_probe("digits", tmp_path, 1_204, 0)
