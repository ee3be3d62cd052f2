"""Training of anymask's own networks: data, prompt simulation, losses, loops. Needs the `torch` extra."""
