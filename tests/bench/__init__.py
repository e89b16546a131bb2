"""Benchmarks: the engine's speeds, as ratios to plain Celery on the same Redis (`make bench`)."""
