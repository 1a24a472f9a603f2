"""The depth of a network, counted in the convolutions that see more than one pixel."""

import math

from naswot_lightning.scores.base import TWO_IMAGES, Measured, proxy


@proxy("conv_depth", source="longest path in convolutions", cost=TWO_IMAGES)
def conv_depth(measured: Measured) -> float:
    """Return the most convolutions with a kernel above 1 on one path from the images to the output.

    Paths are those of the network as it is scored: a dead branch counts where it is built into the graph.

    Returns:
        The count; 0 without such convolutions, -inf where no path leads from the images to the output.
    """
    depth = measured.convolutions.depth
    return -math.inf if depth is None else float(depth)
