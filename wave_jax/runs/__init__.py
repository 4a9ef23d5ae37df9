"""A run on disk and screen: the job, its folder, checkpoints, logs, progress and signals."""
