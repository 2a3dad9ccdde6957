"""Audit: from a label back to its votes, the proof that it follows from them, and who did what."""

from hiveguard_pipeline.audit.events import Broken, EventCheck, events_of, verify_events
from hiveguard_pipeline.audit.explain import Explanation, explain
from hiveguard_pipeline.audit.verify import Finding, Verification, verify

__all__ = [
    "Broken",
    "EventCheck",
    "Explanation",
    "Finding",
    "Verification",
    "events_of",
    "explain",
    "verify",
    "verify_events",
]
