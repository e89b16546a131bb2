"""The runtime: decisions become messages, timers and records in Redis."""
