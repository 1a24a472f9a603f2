"""What a training leaves for use: the model of a pick, and a folder that runs without this package."""
