"""Streaming: how workers run the stages of a stream step at the same time."""
