"""Data sets, their splits, the probe mini-batch, and augmentation on the device."""

# The names of the data sets; naswot_lightning.data.sources, which imports torch, loads them.
DATASETS = ("digits", "imagefolder", "cifar10", "cifar10-valid", "cifar100", "imagenet16-120")
# Before the folder of a data set that Hugging Face's save_to_disk wrote.
HUGGING_FACE = "hf:"
