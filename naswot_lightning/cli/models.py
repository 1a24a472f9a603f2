"""Trained models in use: ``naswot export --help``, ``naswot predict --help``."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from naswot_lightning.config import ExportConfig, PredictConfig
from naswot_lightning.data.image_folder import IMAGE_SUFFIXES
from naswot_lightning.deploy.model import export_model, load
from naswot_lightning.errors import UserError
from naswot_lightning.storage.files import write_csv


def export(config: ExportConfig) -> int:
    """Write the model folder of a pick; return 0."""
    model = load(config.run_dir, config.pick, config.trust)
    files = export_model(model, Path(config.output), config.format.split(","))
    facts = model.facts
    accuracies = (("validation", facts.val_acc), ("test", facts.test_acc))
    said = ", ".join(f"{name} accuracy {100 * value:.2f} %" for name, value in accuracies if value is not None)
    print(
        f"Model:  {facts.pick} ({said}), {len(model.classes)} classes, {facts.image_size} x {facts.image_size} images"
    )
    print(f"Files:  {', '.join(file.name for file in files)} in {config.output}")
    print(f"Use it: naswot predict --model {config.output} IMAGE ...")
    return 0


def predict(config: PredictConfig) -> int:
    """Print class and probability per image, as they are found, or write them as CSV; return 0."""
    files = list(_image_files(config.images))
    if not files:
        raise UserError(f"{' '.join(config.images) or 'IMAGE'}: no images; name image files or folders of images")
    model = load(config.model, trust=config.trust)
    rows = []
    for start in range(0, len(files), config.batch_size):
        part = files[start : start + config.batch_size]
        for file, (label, probability) in zip(part, model.predict(part, config.batch_size), strict=True):
            rows.append({"image": file, "class": label, "probability": round(probability, 6)})
            if config.csv is None:
                print(f"{file}: {label} {100 * probability:.1f} %")
    if config.csv is not None:
        write_csv(Path(config.csv), rows, ("image", "class", "probability"))
        print(f"Predictions: {config.csv} ({len(rows)} images)")
    return 0


def _image_files(names: Sequence[str]) -> Iterator[str]:
    for name in names:
        if not Path(name).exists():
            raise UserError(f"{name}: no such file or folder")
        if Path(name).is_dir():
            found = (path for path in Path(name).rglob("*") if path.suffix.lower() in IMAGE_SUFFIXES)
            yield from map(str, sorted(found))
        else:
            yield name
