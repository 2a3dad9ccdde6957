"""Workflow: the stages that an item goes through, and the tasks that they give to people."""

from hiveguard_pipeline.workflow.tasks import Answered, Task, answer, lease_next, release

__all__ = ["Answered", "Task", "answer", "lease_next", "release"]
