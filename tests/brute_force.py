"""What the library computes fast, computed plainly, and images to compute it on."""

import numpy as np
import torch


def images_of(count=8, size=8, seed=0):
    return torch.randn(count, 3, size, size, generator=torch.Generator().manual_seed(seed))


def brute_force_kernel(layers):
    """N_A minus the number of differing code bits, pair by pair, in numpy, from recorded pre-activations."""
    codes = np.concatenate([layer.reshape(len(layer), -1) > 0 for layer in layers], axis=1)
    count = len(codes)
    distances = [[int(np.sum(codes[i] != codes[j])) for j in range(count)] for i in range(count)]
    return codes.shape[1] - np.array(distances)
