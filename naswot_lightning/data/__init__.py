"""Data sets, their splits, the probe mini-batch, and augmentation on the device."""
