"""A worker whose broker hands messages on much too early: python -m tests.chaos.hasty_worker FILE.

The settings do not allow a visibility timeout as short as this.
"""

from __future__ import annotations

import sys

from engine.config import load_settings
from tasks import load_tasks
from workers.main import WorkerOptions, run_worker

VISIBILITY_S = 1.0


def main() -> None:
    """Runs a worker with the tasks of a file, and one slot."""
    settings = load_settings()
    assert settings.redis_url is not None
    hasty = settings.model_copy(update={"visibility_timeout_s": VISIBILITY_S})
    load_tasks(sys.argv[-1])
    run_worker(settings.redis_url.get_secret_value(), hasty, WorkerOptions(concurrency=1))


if __name__ == "__main__":
    main()
