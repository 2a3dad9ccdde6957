"""The schema holds: schemathesis makes requests of it, good and bad, and judges the answers.

Of every answer: a status that the schema names, a body of the form that it gives for it, never a 5xx.
Requests that the schema does not allow are refused.
"""

from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest
import schemathesis
from fastapi import FastAPI
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from schemathesis import GenerationMode
from schemathesis.config import SchemathesisConfig
from schemathesis.specs.openapi.checks import positive_data_acceptance, unsupported_method

from hiveguard_pipeline.rules.policy import Policy
from hiveguard_pipeline.store.database import Database
from hiveguard_pipeline.store.datasets import create_dataset
from hiveguard_pipeline.store.ledger import apply_votes
from tests.store.voting import add_items, cast, letters
from tests.web.conftest import NewKey, bearer


@pytest.fixture
def database_url(new_sqlite: Callable[[Path], str], tmp_path: Path) -> str:
    """One database: what touches SQL is tried on both elsewhere."""
    return new_sqlite(tmp_path / "hiveguard.db")


def check_schema(app: FastAPI, key: str, mode: GenerationMode, examples: int) -> dict[str, Counter[int]]:
    """Try every operation with so many requests; returns the statuses of each."""
    config = SchemathesisConfig.from_dict({"headers": bearer(key)})
    schema = schemathesis.openapi.from_asgi("/openapi.json", app, config=config)
    statuses: dict[str, Counter[int]] = {}
    for found in schema.get_all_operations():
        operation = found.ok()
        if operation.label == "GET /datasets" and mode is GenerationMode.NEGATIVE:
            continue  # it takes nothing that could be wrong
        seen = statuses[operation.label] = Counter()
        strategy = operation.as_strategy(generation_mode=mode)

        @settings(
            max_examples=examples,
            deadline=None,
            derandomize=True,
            database=None,
            phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
        )
        @given(st.data())
        def try_it(data: st.DataObject) -> None:
            case = data.draw(strategy)  # noqa: B023
            if mode is GenerationMode.POSITIVE:
                named = {"name": "animals", "item": "a"}
                case.path_parameters.update(
                    {name: named[name] for name in case.path_parameters if name in named}
                )
            answer = case.call_and_validate(excluded_checks=[positive_data_acceptance, unsupported_method])
            seen[answer.status_code] += 1  # noqa: B023

        try_it()
    return statuses


@pytest.fixture
def filled(database: Database, new_key: NewKey) -> str:
    """A dataset with items in several states, and a key for everything."""
    dataset = create_dataset(database, "animals", Policy(), classes=("x", "y"))
    add_items(database, dataset, ["a", "b", "c"])
    add_items(database, dataset, ["g"], gold="x")
    cast(database, dataset, letters("a", "xxyyyy") + letters("b", "xxx"))
    apply_votes(database, dataset.name, run_id="run")
    return new_key("admin")


def test_what_the_schema_allows_is_answered_as_it_says(app: FastAPI, filled: str) -> None:
    statuses = check_schema(app, filled, GenerationMode.POSITIVE, examples=8)
    assert len(statuses) >= 9
    for label, seen in statuses.items():
        if label.startswith("GET"):
            assert set(seen) <= {200, 204}, (label, seen)


def test_what_the_schema_does_not_allow_is_refused_as_it_says(app: FastAPI, filled: str) -> None:
    statuses = check_schema(app, filled, GenerationMode.NEGATIVE, examples=8)
    for label, seen in statuses.items():
        # A bulk answers for each of its rows, a wrong item is not there, and nobody has that name.
        assert set(seen) <= {200, 400, 404, 405, 415, 422}, (label, seen)
        assert "bulk" in label or 200 not in seen, (label, seen)


@pytest.mark.slow
@pytest.mark.parametrize("mode", list(GenerationMode))
def test_answers_are_those_of_the_schema_for_many_requests(
    app: FastAPI, filled: str, mode: GenerationMode
) -> None:
    statuses = check_schema(app, filled, mode, examples=150)
    assert sum(seen.total() for seen in statuses.values()) > 1_000
