"""What is found in a run, and how it is shown: on the terminal, in tables, figures and wandb."""
