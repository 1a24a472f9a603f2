"""What the runs of search, training and comparison hold in wandb, one file a kind of run."""
