"""Chaos: workers, their processes, Redis and the network die while flows run."""
