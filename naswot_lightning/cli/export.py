"""Write a trained model into a folder of its own: ``naswot export --help``."""

from __future__ import annotations

from pathlib import Path

from naswot_lightning.config import ExportConfig


def export(config: ExportConfig) -> int:
    """Write the model folder of a pick; return 0.

    Raises:
        UserError: there is no such pick, an unknown format, or a network that cannot be exported.
    """
    from naswot_lightning.deploy.export import export_model
    from naswot_lightning.deploy.model import load

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
