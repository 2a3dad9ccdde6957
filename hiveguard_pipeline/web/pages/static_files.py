"""The stylesheet and the script: read once, served under addresses that change with their content."""

import hashlib
from pathlib import Path

from fastapi import HTTPException, Response

TYPES = {".css": "text/css; charset=utf-8", ".js": "text/javascript; charset=utf-8", ".svg": "image/svg+xml"}


class StaticFiles:
    """The files of the folder `static`, by name: no path of a request reaches the file system."""

    def __init__(self) -> None:
        folder = Path(__file__).with_name("static")
        self._files = {path.name: path.read_bytes() for path in folder.iterdir() if path.suffix in TYPES}
        self._hashes = {name: hashlib.sha256(data).hexdigest()[:16] for name, data in self._files.items()}

    def address(self, name: str) -> str:
        """Where a page finds a file."""
        return f"/ui/static/{name}?v={self._hashes[name]}"

    def response(self, name: str) -> Response:
        """A file; a browser may keep it, since another content has another address."""
        if name not in self._files:
            raise HTTPException(404, "there is no such file")
        kept = {"Cache-Control": "public, max-age=31536000, immutable"}
        return Response(self._files[name], media_type=TYPES[Path(name).suffix], headers=kept)
