"""Audit: from a label back to its votes, and the proof that every label follows from them."""

from hiveguard_pipeline.audit.explain import Explanation, explain
from hiveguard_pipeline.audit.verify import Finding, Verification, verify

__all__ = ["Explanation", "Finding", "Verification", "explain", "verify"]
