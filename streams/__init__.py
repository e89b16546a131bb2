"""Streams: chunks of bytes between steps that run at the same time; a library of its own."""
