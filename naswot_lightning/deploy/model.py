"""A trained network with its classes and preprocessing: out of a run folder, into a folder that needs torch alone."""

from __future__ import annotations

import json
import shutil
import warnings
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor, nn

from naswot_lightning.analysis.results import TrainingResult, best_result, comparable, read_results
from naswot_lightning.data.augmentation import normalized
from naswot_lightning.data.image_folder import read_image
from naswot_lightning.deploy import standalone
from naswot_lightning.errors import UserError, expect_name, reason_of
from naswot_lightning.hardware.onnx import expect_installed, write_onnx
from naswot_lightning.logits import logits_of
from naswot_lightning.networks import build_network
from naswot_lightning.spaces import get_space, known_space
from naswot_lightning.storage.files import atomic_path
from naswot_lightning.storage.foreign import FAULTS
from naswot_lightning.storage.records import STRICT, Count, Positive, Share, from_plain, parse_json

FACTS, CLASSES, WEIGHTS = "model.json", "classes.json", "weights.pt"
FORMATS = ("state_dict", "pt2", "onnx")
# By how much logits of an exported program may differ, relative to the largest: sums are taken in another order.
TOLERANCE = 1e-4


@dataclass(frozen=True)
class ModelFacts:
    """What ``model.json`` says of a model: how it is built, what it takes, how good it was."""

    space: str
    architecture: str
    seed: Count
    dataset: str
    image_size: Positive
    """The shorter side of an image is resized to it, then the middle square is cut out."""
    mean: tuple[float, ...]
    """Of each channel, subtracted from pixels between 0 and 1."""
    std: tuple[float, ...]
    """Of each channel; the pixels are divided by it."""
    epochs: Positive
    val_acc: Share | None
    """None where the data set has no validation images."""
    test_acc: Share | None
    pick: str
    """The folder that it was trained in."""

    __pydantic_config__ = STRICT


class Prediction(NamedTuple):
    """What a model sees on an image."""

    label: str
    probability: float


class TrainedModel(nn.Module):
    """A trained network in eval mode.

    Args:
        network: maps normalised images (N, 3, S, S) to logits (N, C), or to what holds them.
        classes: the C names.
        facts: how it was made.
    """

    def __init__(self, network: nn.Module, classes: Sequence[str], facts: ModelFacts) -> None:
        super().__init__()
        self.network, self.classes, self.facts = network, tuple(classes), facts
        self._mean: Tensor
        self._std: Tensor
        self.register_buffer("_mean", 255 * torch.tensor(facts.mean), persistent=False)
        self.register_buffer("_std", 255 * torch.tensor(facts.std), persistent=False)
        self.eval()

    def forward(self, images: Tensor) -> Tensor:
        """Map normalised images (N, 3, S, S) to logits (N, C)."""
        output = self.network(images)
        if isinstance(output, Tensor):
            return output.flatten(1)  # (N, C) or (N, C, 1, 1); comparing shapes would fix N in an exported program
        return logits_of(output, images.shape[0], len(self.classes))

    def preprocess(self, images: Tensor | str | Path | Sequence[str | Path]) -> Tensor:
        """Return images as the network takes them: (N, 3, S, S) float32, normalised, on its device.

        Args:
            images: files, or a batch (N, 3, S, S) or (3, S, S): uint8, or float with values from 0 to 1.

        Raises:
            UserError: a file is no image that can be read, or the batch has another shape, or other values.
        """
        size, device = self.facts.image_size, self._mean.device
        if isinstance(images, Tensor):
            batch = images if images.dim() == 4 else images[None]
            if batch.dim() != 4 or batch.shape[1:] != (3, size, size):
                raise UserError(f"images {tuple(images.shape)}: expected (N, 3, {size}, {size})")
            low, high = float(batch.min()), float(batch.max())
            if batch.dtype != torch.uint8 and not (batch.is_floating_point() and low >= 0 and high <= 1):
                found = f"{batch.dtype} from {low:.3g} to {high:.3g}".removeprefix("torch.")
                raise UserError(f"images are {found}: expected uint8, or floats from 0 to 1, not normalised")
            pixels = batch if batch.dtype == torch.uint8 else (255 * batch).float()
        else:
            files = [images] if isinstance(images, str | Path) else images
            pixels = torch.stack([torch.from_numpy(read_image(str(file), size).copy()) for file in files])
            pixels = pixels.permute(0, 3, 1, 2)
        # (N, S, S, 3), as training normalises them
        return normalized(pixels.to(device).permute(0, 2, 3, 1), self._mean, self._std)

    @torch.no_grad()
    def probabilities(self, images: Tensor | str | Path | Sequence[str | Path]) -> Tensor:
        """Return the probability of each class, (N, C); images as :meth:`preprocess` takes them."""
        return self(self.preprocess(images)).softmax(1)

    def predict(self, images: Tensor | str | Path | Sequence[str | Path], batch_size: int = 64) -> list[Prediction]:
        """Return the most probable class of each image; images as :meth:`preprocess` takes them."""
        if isinstance(images, Tensor):
            images = images if images.dim() == 4 else images[None]
        elif isinstance(images, str | Path):
            images = [images]
        found = []
        for start in range(0, len(images), batch_size):
            values, labels = self.probabilities(images[start : start + batch_size]).max(1)
            pairs = zip(labels.tolist(), values.tolist(), strict=True)
            found += [Prediction(self.classes[label], value) for label, value in pairs]
        return found


def load(folder: str | Path, pick: str | int = "best", trust: bool = False) -> TrainedModel:
    """Return the model of a pick, with the weights of its best epoch.

    Args:
        folder: a run folder, or one that :func:`export_model` wrote.
        pick: in a run folder, "best" for the one with the highest validation accuracy, a rank, or a pick's name.
        trust: import the code of a space that the files name by its import path.

    Raises:
        UserError: there is no such pick, or a file is missing or damaged.
        SpaceError: it is of a space whose code lies elsewhere, and which nobody trusts.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise UserError(f"{folder}: no such folder; expected a run folder, or the output of naswot export")
    if (folder / FACTS).exists():
        return _load_exported(folder, trust)
    result = choose_result(folder, pick)
    path = folder / "picks" / result.pick / "best.ckpt"
    try:
        saved = torch.load(path, map_location="cpu", weights_only=True)
        hyper = saved["hyper_parameters"]
        weights = {
            name.removeprefix("network."): value
            for name, value in saved["state_dict"].items()
            if name.startswith("network.")
        }
        facts = ModelFacts(
            space=hyper["space"],
            architecture=hyper["architecture"],
            seed=hyper["seed"],
            dataset=result.dataset,
            image_size=hyper["image_size"],
            mean=tuple(round(value / 255, 6) for value in hyper["mean"]),
            std=tuple(round(value / 255, 6) for value in hyper["std"]),
            epochs=result.epochs,
            val_acc=result.best_val_acc,
            test_acc=result.test_acc,
            pick=result.pick,
        )
        return _build(facts, hyper["classes"], weights, trust)
    except (OSError, *FAULTS) as error:
        raise UserError(f"{path}: {reason_of(error)}; train the pick again") from error


def choose_result(folder: Path, pick: str | int = "best") -> TrainingResult:
    """Return the result of a pick of a run folder; arguments and errors as of :func:`load`."""
    results = [result for result in read_results(folder) if result.is_whole]
    if not results:
        raise UserError(f"{folder} has no trained picks; run naswot train --run_dir {folder} first")
    names = ", ".join(result.pick for result in results)
    if pick == "best":
        if (best := best_result(comparable(results))) is None:
            raise UserError(
                f"--pick best: {folder} has neither validation accuracies nor a ranking; expected one of {names}"
            )
        return best
    for result in results:
        if str(pick) in (result.pick, str(result.rank)):
            return result
    raise UserError(f"--pick {pick}: not a trained pick of {folder}; expected best, a rank, or one of {names}")


def _load_exported(folder: Path, trust: bool) -> TrainedModel:
    try:
        facts = from_plain(ModelFacts, parse_json((folder / FACTS).read_bytes()))
        classes = from_plain(list[str], parse_json((folder / CLASSES).read_bytes()))
        weights = torch.load(folder / WEIGHTS, map_location="cpu", weights_only=True)
        return _build(facts, classes, weights, trust)
    except (OSError, *FAULTS) as error:
        raise UserError(f"{folder} has no complete model ({reason_of(error)}); export it again") from error


def _build(facts: ModelFacts, classes: Sequence[str], weights: dict[str, Tensor], trust: bool) -> TrainedModel:
    space = get_space(facts.space) if trust else known_space(facts.space)
    network = build_network(space, facts.architecture, facts.seed, len(classes))
    # An auxiliary head is for training alone: the network is built without, and its weights are left out.
    network.load_state_dict({name: weights[name] for name in network.state_dict()})
    return TrainedModel(network, classes, facts)


def export_model(model: TrainedModel, folder: Path, formats: Sequence[str] = ("state_dict", "pt2")) -> list[Path]:
    """Write a model folder, whole or not at all; return its files.

    ``model.json`` and ``classes.json`` say what it is; ``weights.pt`` is its state dict; ``model.pt2`` is the exported
    program, which ``predict.py`` runs with torch alone; ``model.onnx`` is the same for other runtimes. Programs map
    normalised images (N, 3, S, S) to logits (N, C) for any N.

    What is written is on the CPU, weights in any case; ``formats`` are of :data:`FORMATS`. An earlier model folder is
    replaced; one that holds other files, and a network whose program computes something else, are a UserError.
    """
    for name in formats:
        expect_name("format", name, FORMATS)
    if folder.exists() and any(folder.iterdir()) and not (folder / FACTS).exists():
        raise UserError(f"{folder} contains files that are not part of a model; choose a new folder with --output")
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
            raise UserError(f"the network cannot be exported ({reason_of(error)}); use --format state_dict") from error
        images = _example(model, 3)
        expected, found = model(images), torch.export.load(path).module()(images)
    largest, difference = float(expected.abs().max()), float((expected - found).abs().max())
    if not difference <= TOLERANCE * max(largest, 1.0):
        raise UserError(
            f"{path.name} does not compute the network's logits (they differ by {difference:.2g}; the largest is "
            f"{largest:.2g}); use --format state_dict"
        )


def _export_onnx(model: TrainedModel, path: Path) -> None:
    expect_installed("--format onnx", "onnx", "onnxscript")
    try:
        write_onnx(model, _example(model, 2), path)
    except Exception as error:
        raise UserError(
            f"the network cannot be exported to ONNX ({reason_of(error)}); leave onnx out of --format"
        ) from error
