"""A dataset described by a YAML file: what it is, its policy, workflow, active learning and exports."""

from hiveguard_pipeline.config.dataset import create_from_config, set_workflow_from_config

__all__ = ["create_from_config", "set_workflow_from_config"]
