"""A simulated crowd over a known truth, to try the pipeline on."""

from hiveguard_pipeline.demo.crowd import SCENES, Crowd, Scene, simulate
from hiveguard_pipeline.demo.files import write_crowd

__all__ = ["SCENES", "Crowd", "Scene", "simulate", "write_crowd"]
