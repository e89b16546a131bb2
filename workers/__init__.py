"""Workers: Celery processes that conduct executions and run their tasks."""
