"""What the tables are made of: times, ids, keys, and the metadata that holds them all."""

import hashlib
import uuid
from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.compiler import compiles

ITEM_NAMESPACE = uuid.UUID("6f1d9c1e-52f5-5d0e-9c6b-8d6a2f0d8a35")
"""Fixed for ever: item ids are uuid5 of this over dataset name, NUL, external id."""


class UtcTime(sa.TypeDecorator[str]):
    """A time as the text that is written everywhere: `2026-11-20T12:00:00.000000Z`."""

    impl = sa.TIMESTAMP(timezone=True)
    cache_ok = True

    def load_dialect_impl(self, dialect: sa.Dialect) -> sa.types.TypeEngine[Any]:
        """Text on SQLite, timestamptz elsewhere."""
        return dialect.type_descriptor(sa.Text() if dialect.name == "sqlite" else sa.TIMESTAMP(timezone=True))

    def process_result_value(self, value: Any, dialect: sa.Dialect) -> str | None:  # noqa: ARG002
        """Whatever the driver gives, as text."""
        return time_text(value) if isinstance(value, datetime) else value


def time_text(moment: datetime) -> str:
    """A time in UTC as it is written; a naive one is UTC already."""
    moment = moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    return moment.strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def full_time(connection: sa.Connection, column: str) -> str:
    """SQL for a time in its full form: a challenge server may have written SQLite's own form of one."""
    if connection.dialect.name != "sqlite":
        return column
    return (
        f"CASE WHEN {column} LIKE '____-__-__T__:__:__.______Z' THEN {column}"
        f" ELSE strftime('%Y-%m-%dT%H:%M:%f000Z', {column}) END"
    )


def written_time(connection: sa.Connection, column: str) -> str:
    """SQL for a time as the text that is written everywhere."""
    if connection.dialect.name == "sqlite":
        return full_time(connection, column)
    return f"to_char({column} AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"')"


def item_uuid(dataset_name: str, external_id: str) -> str:
    """The item_id of an external id in a dataset; the same on every machine."""
    return item_uuids(dataset_name, [external_id])[0]


def item_uuids(dataset_name: str, external_ids: list[str]) -> list[str]:
    """`item_uuid` of many: RFC 9562's version 5, as `uuid.uuid5` has it, without an object for each."""
    start = ITEM_NAMESPACE.bytes + dataset_name.encode() + b"\0"
    ids = []
    for external_id in external_ids:
        digits = hashlib.sha1(start + external_id.encode(), usedforsecurity=False).hexdigest()
        variant = "89ab"[int(digits[16], 16) & 3]
        ids.append(f"{digits[:8]}-{digits[8:12]}-5{digits[13:16]}-{variant}{digits[17:20]}-{digits[20:32]}")
    return ids


class CurrentTime(sa.sql.functions.FunctionElement[str]):
    """The database's clock, for rows that the challenge server writes without a time."""

    inherit_cache = True


@compiles(CurrentTime)
def _current_time(element: CurrentTime, compiler: Any, **options: Any) -> str:  # noqa: ARG001
    return "now()"


@compiles(CurrentTime, "sqlite")
def _current_time_sqlite(element: CurrentTime, compiler: Any, **options: Any) -> str:  # noqa: ARG001
    return "(strftime('%Y-%m-%dT%H:%M:%f000Z', 'now'))"


metadata = sa.MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s",
        "pk": "pk_%(table_name)s",
    }
)

Uuid = sa.Uuid(as_uuid=False).with_variant(sa.Text(), "sqlite")
Big = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def key(name: str) -> sa.Column[int]:
    """A column of rising ids, drawn by the database."""
    return sa.Column(name, Big, sa.Identity(always=False, cache=1), primary_key=True)
