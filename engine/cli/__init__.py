"""The command line: one module per command, one table of them in `main`."""
