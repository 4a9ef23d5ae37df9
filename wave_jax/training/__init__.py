"""How a network learns: configuration, state, step, optimizer, metrics, trainer."""
