"""The simulator: the heart with tasks as functions and a virtual clock."""
