"""What a network returns, and which of it are the logits."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor


def logits_of(output: Any, images: int, num_classes: int) -> Tensor:
    """Return the logits (N, num_classes) among what a network returned for N images.

    They are what is named ``logits``, a key or an attribute, or else the one tensor of that shape. A shape of
    (N, num_classes, 1, 1) is as good.

    >>> import torch
    >>> features, logits = torch.zeros(4, 64), torch.ones(4, 10)
    >>> logits_of((features, logits), 4, 10).equal(logits)
    True
    >>> logits_of((logits, logits), 4, 10)
    Traceback (most recent call last):
    ValueError: the network returned (4, 10) and (4, 10): ... the logits alone, or a dict with 'logits'
    """
    found = tensors_of(_named(output).get("logits", output))
    fitting = _fitting(found, images, num_classes)
    if len(fitting) == 1:
        return fitting[0]
    shapes = " and ".join(str(tuple(tensor.shape)) for tensor in found) or f"{type(output).__name__} without a tensor"
    wanted = f"the network returned {shapes}: expected one tensor of logits ({images}, {num_classes})"
    if fitting:
        raise ValueError(f"{wanted}; return the logits alone, or a dict with 'logits'")
    raise ValueError(f"{wanted}; build it with the number of classes that is asked for, and return its logits")


def auxiliary_logits_of(output: Any, images: int, num_classes: int) -> list[Tensor]:
    """Return the logits of auxiliary heads: of the same shape, beside ``logits`` under names that begin with ``aux``.

    >>> import torch
    >>> output = {"logits": torch.zeros(4, 10), "aux_logits": torch.ones(4, 10), "features": torch.zeros(4, 10)}
    >>> [int(tensor.sum()) for tensor in auxiliary_logits_of(output, 4, 10)]
    [40]
    """
    named = _named(output)
    found = [named[name] for name in named if "logits" in named and str(name).startswith("aux")]
    return _fitting(tensors_of(found), images, num_classes)


def tensors_of(output: Any) -> list[Tensor]:
    """Return the tensors of an output: those within lists, tuples and mappings, and those with names of logits."""
    if isinstance(output, Tensor):
        return [output]
    parts = output if isinstance(output, list | tuple) else _named(output).values()
    return [tensor for part in parts for tensor in tensors_of(part)]


def _named(output: Any) -> Mapping[Any, Any]:
    if isinstance(output, Mapping):
        return output
    # A named tuple, in the order of its fields, in which losses are added.
    if hasattr(output, "_asdict"):
        return output._asdict()
    return {name: getattr(output, name) for name in dir(output) if name == "logits" or name.startswith("aux")}


def _fitting(tensors: list[Tensor], images: int, num_classes: int) -> list[Tensor]:
    shape = (images, num_classes)
    return [tensor.reshape(shape) for tensor in tensors if tensor.shape in (shape, (*shape, 1, 1))]
