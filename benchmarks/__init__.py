"""Speed and memory of wave_jax, each figure a ratio measured within one run."""
