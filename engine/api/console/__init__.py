"""The web console: pages that show executions as they run, and let people act on them."""
