"""Workflow: stages, gates, tasks."""
