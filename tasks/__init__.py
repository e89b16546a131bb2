"""Useful work for flows to call: tasks are plain functions, this package knows nothing of flows."""

from tasks.chunk import Chunk
from tasks.context import TaskContext
from tasks.errors import DuplicateTask, TaskError, TaskLoadError
from tasks.loading import load_tasks, shipped, shipped_flows
from tasks.registry import RegisteredTask, task

__all__ = [
    "Chunk",
    "DuplicateTask",
    "RegisteredTask",
    "TaskContext",
    "TaskError",
    "TaskLoadError",
    "load_tasks",
    "shipped",
    "shipped_flows",
    "task",
]
