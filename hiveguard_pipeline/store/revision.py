"""The newest revision of the tables."""

REVISION = "0005"
"""The newest migration; a test holds it against Alembic's own head."""
