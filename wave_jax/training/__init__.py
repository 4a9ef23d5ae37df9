"""The training of a network: state, step, loop, checkpoints."""
