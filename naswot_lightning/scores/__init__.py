"""Training-free scores: functions of :class:`~naswot_lightning.scores.base.Measured` under ``@score``, by family.

Every score leaves the network, the probe and the random generators as it found them, and gives the same number
each time: bit for bit on the CPU; on CUDA the gradients are subject to the rounding of backward convolutions,
whose sums have no fixed order. While a score runs, BatchNorm normalises by the mini-batch and everything else
is in eval mode (:func:`naswot_lightning.naswot.isolation.isolated`).
"""

# A score, and the file of this folder that defines it: --help needs names, and to import a file loads torch.
SCORES = {
    "naswot": "base",
    "nwot_normalised": "activation",
    "swap": "activation",
    "jacob_cov": "gradient_scores",
    "grad_norm": "gradient_scores",
    "snip": "gradient_scores",
    "fisher": "gradient_scores",
    "grasp": "gradient_scores",
    "zico": "gradient_scores",
    "synflow": "gradient_scores",
    "relu_entropy": "channels",
    "relu_rank": "channels",
    "relu_input_rank": "channels",
    "relu_volume": "channels",
    "relu_meco": "channels",
    "diversity": "diversity",
    "meco": "feature_maps",
    "az_expressivity": "feature_maps",
    "az_progressivity": "feature_maps",
    "az_trainability": "feature_maps",
    "zen": "feature_maps",
    "vkdnw": "vkdnw",
    "params": "size",
    "macs": "size",
    "rectified_units": "size",
    "log_width": "size",
    "conv_depth": "size",
    "random": "size",
}
# Ranks by several scores under a name of their own. `robust`: chosen for being above model size on NAS-Bench-201, its
# size space and NAS-Bench-101 alike; docs/score-evidence.md says how, and out of how many.
AGGREGATES: dict[str, tuple[str, ...]] = {
    "robust": (
        "relu_rank", "relu_input_rank", "relu_volume", "relu_meco", "az_expressivity", "az_progressivity", "synflow",
        "conv_depth", "macs",
    ),
}  # fmt: skip
