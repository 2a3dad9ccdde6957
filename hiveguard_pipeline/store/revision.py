"""The newest revision of the tables."""

REVISION = "0006"
"""The newest migration; a test holds it against Alembic's own head."""
