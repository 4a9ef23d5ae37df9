"""What is compared: each class is made in a process of its own (see `benchmarks.workers`)."""
