"""The code of a space of the user's own, which shows that it was imported."""

CODE = """
from pathlib import Path
from torch import nn
from naswot_lightning.spaces import Space

Path(__file__).with_name("canary").touch()

class Tiny(Space):
    def __init__(self, width: int = 4):
        self.width = width

    def sample(self, rng):
        return rng.choice(("a", "b", "c"))

    def mutate(self, architecture, rng):
        return self.sample(rng)

    def build(self, architecture, num_classes=10, in_channels=3):
        width = self.width + "abc".index(architecture)
        return nn.Sequential(
            nn.Conv2d(in_channels, width, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(),
            nn.Linear(width, num_classes),
        )

def call(url: str = ""):
    Path(__file__).with_name("called").touch()
    return {}

class Other:
    def __init__(self):
        Path(__file__).with_name("called").touch()

from os import makedirs
partial = __import__("functools").partial(call)
"""
