"""Beside ours: FastAPI with one endpoint that only inserts what it is sent: no key, no check of a row.

`python -m benchmarks.measured.bare_endpoint` serves it on a free port, on the store of the environment.
"""

import asyncio
import os
import sys

import sqlalchemy as sa
import uvicorn
from fastapi import FastAPI
from pydantic import BaseModel

from hiveguard_pipeline.store.database import parse_url


class Vote(BaseModel):
    """A vote."""

    item_id: str
    solver_id: str
    answer: str


def create() -> FastAPI:
    """The application."""
    app = FastAPI()
    engine = sa.create_engine(parse_url(os.environ["HIVEGUARD_DATABASE_URL"]), pool_size=16)
    insert = sa.text("INSERT INTO votes (item_id, solver_id, answer) VALUES (:item_id, :solver_id, :answer)")
    if engine.dialect.name == "postgresql":
        votes = sa.Table("votes", sa.MetaData(), autoload_with=engine, resolve_fks=False)
        insert = votes.insert()  # type: ignore[assignment] # its rows go in many a statement

    @app.post("/datasets/bench/votes/bulk")
    def post(rows: list[Vote]) -> dict[str, int]:
        with engine.begin() as connection:
            connection.execute(insert, [row.model_dump() for row in rows])
        return {"accepted": len(rows)}

    return app


async def main() -> None:
    """Serve until it is ended."""
    server = uvicorn.Server(uvicorn.Config(create(), port=0, log_level="error"))
    serving = asyncio.create_task(server.serve())
    while not server.started:
        await asyncio.sleep(0.05)
    print(f"on http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}", file=sys.stderr, flush=True)
    await serving


if __name__ == "__main__":
    asyncio.run(main())
