"""A GPU that is not there: CPU tensors pose as tensors of cuda:0, and what a real one would be asked is counted.

Everything is computed on the CPU, so that numbers are real; tensors are plain ones, marked at their storage. Not
simulated: speed, kernels of cuDNN and cuBLAS, how many kernels one operation launches, memory.
"""

from contextlib import ExitStack, contextmanager
from unittest.mock import patch

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves, tree_map_only

CPU, CUDA = torch.device("cpu"), torch.device("cuda", 0)
aten = torch.ops.aten
_COPIES = {aten._to_copy.default, aten.copy_.default}
# The host must know their result, or its size.
_WAITS = {
    aten._local_scalar_dense.default, aten.nonzero.default, aten.masked_select.default, aten.equal.default,
    aten.is_nonzero.default, aten._unique2.default, aten.repeat_interleave.Tensor, aten.bincount.default,
}  # fmt: skip
_INDEXING = {aten.index.Tensor, aten.index_put_.default, aten._index_put_impl_.default}
# Of float32 in bfloat16 in autocast on CUDA, and not on the CPU.
_LOW_ON_CUDA = {aten.mv.default, aten.addmv.default, aten.addr.default}
_ALLOCATIONS = ("aten::empty", "aten::new_empty", "aten::resize_", "aten::set_", "aten::is_pinned")


def place_of(tensor):
    """The device that a tensor poses as being on."""
    return getattr(tensor.untyped_storage(), "place", CPU)


def _tensors(*values):
    return [each for each in tree_leaves(values) if isinstance(each, Tensor)]


def _device(device):
    return CUDA if device.type == "cuda" and device.index is None else device


class Accelerator(TorchDispatchMode):
    """While active, cuda:0 is there; mixed devices are an error, and launches, copies and waits of the host counted."""

    def __init__(self):
        super().__init__()
        self.launches = self.copies = self.waits = 0
        self.current, self.generators = 0, [torch.Generator(), torch.Generator()]
        self._stack = ExitStack()

    def counts(self):
        """Launches, copies between host and device, waits; and forget them."""
        found = self.launches, self.copies, self.waits
        self.launches = self.copies = self.waits = 0
        return found

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        kwargs = dict(kwargs or {})
        given = _tensors(args, kwargs)
        if func in _LOW_ON_CUDA and _blocks and _blocks[-1]:
            args = tree_map_only(Tensor, lambda tensor: tensor.bfloat16(), args)
        # A number on the CPU is an argument of a kernel.
        places = {place_of(each) for each in given if each.dim() or place_of(each) != CPU}
        asked, pinned = kwargs.pop("device", None), kwargs.pop("pin_memory", False)
        if asked in (None, CPU) and not given and torch._C._current_graph_task_id() != -1:
            # Autograd's own zeros, on the device that it believes the gradients to be on.
            asked = CUDA
        target = _device(asked) if asked is not None else CUDA if CUDA in places else CPU
        if asked is not None:
            kwargs["device"] = CPU
        output = func(*args, **kwargs)
        if func in _COPIES:
            source, target = (given[0], target) if func is aten._to_copy.default else (given[1], place_of(given[0]))
            self._copy(source, given[0], target, args[2:] == (True,) or kwargs.get("non_blocking"))
        elif CUDA in places or target == CUDA:
            self._launch(func, args, given, places, output)
        storages = {each.untyped_storage()._cdata for each in given}
        for each in _tensors(output):
            if each.untyped_storage()._cdata not in storages:
                each.untyped_storage().place, each.untyped_storage().pinned = target, pinned
        return output

    def _copy(self, source, host, target, non_blocking):
        if place_of(source) == target:
            self.launches += target == CUDA
            return
        self.copies += 1
        pinned = getattr((source if target == CUDA else host).untyped_storage(), "pinned", False)
        self.waits += not (non_blocking and pinned)

    def _launch(self, func, args, given, places, output):
        if func in _INDEXING:
            indices = [each for each in args[1] if each is not None]
            moved = sum(place_of(each) == CPU for each in indices)
            self.copies += moved
            self.waits += moved + any(each.dtype == torch.bool for each in indices)
        elif len(places) > 1:
            raise RuntimeError(f"Expected all tensors to be on the same device, but {func} got {places}")
        self.waits += func in _WAITS
        inputs = {each.untyped_storage()._cdata for each in given}
        is_new = any(each.untyped_storage()._cdata not in inputs for each in _tensors(output))
        # No view, no number.
        if (is_new or func._schema.is_mutable) and not func.name().startswith(_ALLOCATIONS):
            self.launches += 1

    def __enter__(self):
        for owner, name, stand_in in (*_STAND_INS, *self._generators()):
            self._stack.enter_context(patch.object(owner, name, stand_in))
        return super().__enter__()

    def __exit__(self, *exception):
        super().__exit__(*exception)
        self._stack.close()

    def _generators(self):
        """What stands in for those of two GPUs."""

        @contextmanager
        def device(given):
            before, self.current = self.current, torch.device(given).index
            yield
            self.current = before

        def of(given="cuda"):
            return self.generators[torch.device(given).index or 0]

        return [
            (torch.cuda, "device", device),
            (torch.cuda, "manual_seed", lambda seed: self.generators[self.current].manual_seed(seed)),
            (torch.cuda, "get_rng_state", lambda given="cuda": of(given).get_state()),
            (torch.cuda, "set_rng_state", lambda state, given="cuda": of(given).set_state(state)),
        ]


_to, _numpy, _tolist, _autocast = Tensor.to, Tensor.numpy, Tensor.tolist, torch.autocast.__init__


_enter, _leave = torch.autocast.__enter__, torch.autocast.__exit__
# Of the blocks of autocast around a call whether each is on, which torch does not tell a dispatch mode.
_blocks: list[bool] = []


def _entered(autocast):
    _blocks.append(autocast._enabled)
    return _enter(autocast)


def _left(autocast, *exception):
    _blocks.pop()
    return _leave(autocast, *exception)


def _moved(tensor, *args, copy=False, **kwargs):
    like = args[0].device if args and isinstance(args[0], Tensor) else None
    device, dtype, non_blocking, memory_format = torch._C._nn._parse_to(*args, **kwargs)
    device = _device(like or device or tensor.device)
    options = {"dtype": dtype or tensor.dtype, "memory_format": memory_format}
    if device == tensor.device and not copy:
        return _to(tensor, **options)
    return aten._to_copy.default(tensor, device=device, non_blocking=non_blocking, **options)


def _as_numpy(tensor, **kwargs):
    if tensor.is_cuda:
        raise TypeError("can't convert cuda:0 device type tensor to numpy")
    return _numpy(tensor, **kwargs)


def _in_autocast(autocast, device_type, *args, **kwargs):
    _autocast(autocast, "cpu" if device_type == "cuda" else device_type, *args, **kwargs)


_STAND_INS = [
    (Tensor, "device", property(place_of)),
    (Tensor, "is_cpu", property(lambda tensor: place_of(tensor) == CPU)),
    (Tensor, "is_cuda", property(lambda tensor: place_of(tensor) == CUDA)),
    (Tensor, "to", _moved),
    (Tensor, "cpu", lambda tensor, **_: tensor.to(CPU)),
    (Tensor, "cuda", lambda tensor, **_: tensor.to(CUDA)),
    (Tensor, "numpy", _as_numpy),
    (Tensor, "tolist", lambda tensor: _tolist(tensor.cpu())),
    (torch.autocast, "__init__", _in_autocast),
    (torch.autocast, "__enter__", _entered),
    (torch.autocast, "__exit__", _left),
    (torch.cuda, "_lazy_init", lambda: None),
    (torch.cuda, "is_available", lambda: True),
    (torch.cuda, "device_count", lambda: 2),
]
