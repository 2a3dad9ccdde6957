"""Workflow: the stages that an item goes through, and the tasks that they give to people."""

from hiveguard_pipeline.workflow.advance import Advanced, advance
from hiveguard_pipeline.workflow.answering import Answered, answer
from hiveguard_pipeline.workflow.change import WorkflowChange, set_workflow
from hiveguard_pipeline.workflow.documented import LIFE_CYCLE, with_numbers
from hiveguard_pipeline.workflow.leases import Lease, Task, lease_next, list_leases, open_tasks, release
from hiveguard_pipeline.workflow.parse import StageError, parse_stages
from hiveguard_pipeline.workflow.people import Person, add_people, groups_of, list_people, remove_people
from hiveguard_pipeline.workflow.recorded import RecordedWorkflow, current_workflow, workflow_history
from hiveguard_pipeline.workflow.shorthand import stages_of_quality
from hiveguard_pipeline.workflow.verified import verify_stages

__all__ = [
    "LIFE_CYCLE",
    "Advanced",
    "Answered",
    "Lease",
    "Person",
    "RecordedWorkflow",
    "StageError",
    "Task",
    "WorkflowChange",
    "add_people",
    "advance",
    "answer",
    "current_workflow",
    "groups_of",
    "lease_next",
    "list_leases",
    "list_people",
    "open_tasks",
    "parse_stages",
    "release",
    "remove_people",
    "set_workflow",
    "stages_of_quality",
    "verify_stages",
    "with_numbers",
    "workflow_history",
]
