"""From a trained model to a folder that runs without this package."""

from __future__ import annotations

import json
import shutil
import warnings
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import torch

from naswot_lightning.deploy import standalone
from naswot_lightning.deploy.model import CLASSES, FACTS, WEIGHTS, TrainedModel
from naswot_lightning.errors import UserError, expect_name, reason_of
from naswot_lightning.hardware.onnx import expect_installed, write_onnx
from naswot_lightning.storage.files import atomic_path

FORMATS = ("state_dict", "pt2", "onnx")
# What logits of an exported program may differ by, as a share of the largest one: sums are taken in another order.
TOLERANCE = 1e-4


def export_model(model: TrainedModel, folder: Path, formats: Sequence[str] = ("state_dict", "pt2")) -> list[Path]:
    """Write a model folder, whole or not at all; return its files.

    ``model.json`` and ``classes.json`` say what it is; ``weights.pt`` is its state dict; ``model.pt2`` is the exported
    program, which ``predict.py`` runs with torch alone; ``model.onnx`` is the same for other runtimes. Programs map
    normalised images (N, 3, S, S) to logits (N, C) for any N.

    Args:
        model: on any device; what is written is on the CPU.
        folder: to write; an earlier model folder is replaced.
        formats: of :data:`FORMATS`; weights are written in any case.

    Raises:
        UserError: an unknown format, a network that cannot be exported, or whose program computes something else; a
            folder that holds other files.
    """
    for name in formats:
        expect_name("format", name, FORMATS)
    if folder.exists() and any(folder.iterdir()) and not (folder / FACTS).exists():
        raise UserError(f"{folder} holds other files than a model: name a new folder with --output")
    model = model.cpu().eval()
    with atomic_path(folder) as unfinished:
        unfinished.mkdir()
        (unfinished / FACTS).write_text(json.dumps(asdict(model.facts), indent=1))
        (unfinished / CLASSES).write_text(json.dumps(model.classes))
        torch.save(model.network.state_dict(), unfinished / WEIGHTS)
        with warnings.catch_warnings():
            # What torch says of its own code while it exports.
            warnings.simplefilter("ignore")
            if "pt2" in formats:
                _export_program(model, unfinished / "model.pt2")
                shutil.copyfile(standalone.__file__, unfinished / "predict.py")
            if "onnx" in formats:
                _export_onnx(model, unfinished / "model.onnx")
    return sorted(folder.iterdir())


def _example(model: TrainedModel, images: int) -> torch.Tensor:
    size = model.facts.image_size
    return torch.randn(images, 3, size, size, generator=torch.Generator().manual_seed(0))


def _export_program(model: TrainedModel, path: Path) -> None:
    with torch.no_grad():
        try:
            batch = torch.export.Dim("batch", max=2**16)
            program = torch.export.export(model, (_example(model, 2),), dynamic_shapes=({0: batch},))
            torch.export.save(program, path)
        except Exception as error:
            # torch.export refuses what it cannot follow with errors of many types.
            raise UserError(f"the network cannot be exported ({reason_of(error)}): use --format state_dict") from error
        images = _example(model, 3)
        expected, found = model(images), torch.export.load(path).module()(images)
    _expect_same(expected, found, path)


def _export_onnx(model: TrainedModel, path: Path) -> None:
    expect_installed("--format onnx", "onnx", "onnxscript")
    try:
        write_onnx(model, _example(model, 2), path)
    except Exception as error:
        raise UserError(f"the network has no ONNX form ({reason_of(error)}): leave onnx out of --format") from error


def _expect_same(expected: torch.Tensor, found: torch.Tensor, path: Path) -> None:
    largest = float(expected.abs().max())
    difference = float((expected - found).abs().max())
    if not difference <= TOLERANCE * max(largest, 1.0):
        raise UserError(
            f"{path.name} computes other logits than the network (they differ by {difference:.2g}, the largest is "
            f"{largest:.2g}): use --format state_dict"
        )
