"""Networks as ONNX: written to a file, and run by ONNX Runtime."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

import torch
from torch import Tensor, nn

from naswot_lightning.errors import UserError, reason_of


def expect_installed(option: str, *packages: str) -> None:
    """Raise :class:`UserError` where packages that an option needs are not installed."""
    if missing := [name for name in packages if find_spec(name) is None]:
        raise UserError(f"{option}: pip install {' '.join(missing)}")


def write_onnx(network: nn.Module, images: Tensor, path: Path) -> None:
    """Write a network that maps images (N, C, H, W), N at least 2 and then any, to logits; errors are torch's own."""
    with torch.no_grad(), warnings.catch_warnings():
        # What torch says of its own code while it exports.
        warnings.simplefilter("ignore")
        torch.onnx.export(
            network, (images,), path, input_names=["images"], output_names=["logits"], dynamo=True,
            dynamic_shapes=({0: torch.export.Dim("batch", max=2**16)},), external_data=False, verbose=False,
        )  # fmt: skip


def onnx_session(network: nn.Module, images: Tensor, path: Path, threads: int, device: str) -> Callable[[], object]:
    """Return what runs the network once on images in ONNX Runtime; a network without an ONNX form is a UserError."""
    import onnxruntime

    kind, _, number = device.partition(":")
    provider = ("CUDAExecutionProvider", {"device_id": number or "0"}) if kind == "cuda" else "CPUExecutionProvider"
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.log_severity_level = threads, 3
    try:
        write_onnx(network.cpu(), images.repeat(2, 1, 1, 1), path)
        session = onnxruntime.InferenceSession(path, options, providers=[provider])
    except Exception as error:
        raise UserError(f"the network cannot be exported to ONNX ({reason_of(error)})") from error
    given = {"images": images.numpy()}
    return lambda: session.run(None, given)
