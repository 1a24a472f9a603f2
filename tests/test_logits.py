from collections import namedtuple
from types import SimpleNamespace

import pytest
import torch

from naswot_lightning.logits import auxiliary_logits_of, logits_of

LOGITS, FEATURES, ALIKE = torch.ones(4, 10), torch.zeros(4, 64), torch.zeros(4, 10)
Named = namedtuple("Named", "features logits aux_logits")


def test_logits_are_found_by_name_or_by_shape():
    for output, auxiliary in (
        (LOGITS, 0),
        (LOGITS[:, :, None, None], 0),
        ([FEATURES, LOGITS], 0),
        ((LOGITS, None), 0),
        ({"out": LOGITS, "aux": FEATURES}, 0),
        ({"features": ALIKE, "logits": LOGITS}, 0),
        (Named(ALIKE, LOGITS, ALIKE), 1),
        ({"logits": LOGITS, "aux": [ALIKE, ALIKE], "aux_loss": torch.ones(())}, 2),
        (SimpleNamespace(logits=LOGITS, hidden_states=(ALIKE,)), 0),
    ):
        assert logits_of(output, 4, 10).equal(LOGITS)
        assert len(auxiliary_logits_of(output, 4, 10)) == auxiliary


def test_what_cannot_be_told_is_an_error_with_the_shapes():
    for output, message in (
        ((ALIKE, LOGITS), r"\(4, 10\) and \(4, 10\): .* return the logits alone, or a dict with 'logits'"),
        (torch.ones(4, 1000), r"\(4, 1000\): expected one tensor of logits \(4, 10\); build it with the number"),
        ({"features": ALIKE, "logits": FEATURES}, r"\(4, 64\): expected"),
        ("text", "str without a tensor: expected"),
    ):
        with pytest.raises(ValueError, match=f"^the network returned {message}"):
            logits_of(output, 4, 10)
