"""A Label Studio server of its own: started, killed and started again, and people who work in it."""

import os
import secrets
import signal
import subprocess
from contextlib import suppress
from pathlib import Path
from typing import Any

import requests

from tests.production.services import free_port, wait_for

ROOT = Path(__file__).parents[2]
PROGRAM = ROOT / ".peers" / "label-studio" / "bin" / "label-studio"
ADMIN = "admin@example.com"
START_SECONDS = 300


class RunningServer:
    """One server on loopback with its data in a folder; nothing of it speaks to the world."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.token = secrets.token_hex(20)
        self._process: subprocess.Popen[bytes] | None = None

    def start(self, wait: bool = True) -> None:
        """Start it on its data, and wait until it answers."""
        home = self.folder / "home"
        home.mkdir(parents=True, exist_ok=True)
        environment = {name: value for name, value in os.environ.items() if "DJANGO" not in name}
        environment |= {
            "HOME": str(home),
            "LABEL_STUDIO_BASE_DATA_DIR": str(self.folder / "data"),
            "COLLECT_ANALYTICS": "False",
            "LATEST_VERSION_CHECK": "False",
            "FEATURE_FLAGS_OFFLINE": "True",
            "SENTRY_DSN": "",
            "FRONTEND_SENTRY_DSN": "",
            "LABEL_STUDIO_ENABLE_LEGACY_API_TOKEN": "True",
            "LABEL_STUDIO_USERNAME": ADMIN,
            "LABEL_STUDIO_PASSWORD": "the-admin-pass-1",
            "LABEL_STUDIO_USER_TOKEN": self.token,
        }
        with (self.folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [
                    *(PROGRAM, "start", "--no-browser", "--internal-host", "127.0.0.1"),
                    *("--port", str(self.port)),
                ],
                cwd=self.folder,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        if wait:
            wait_for("Label Studio does not answer", self._answers, START_SECONDS)

    def kill(self) -> None:
        """Kill -9 it with all its processes."""
        assert self._process is not None
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait(30)

    stop = kill

    def _answers(self) -> bool:
        assert self._process is not None
        assert self._process.poll() is None, (self.folder / "log").read_text()[-2000:]
        with suppress(requests.RequestException):
            return requests.get(f"{self.url}/health", timeout=5).ok
        return False

    @property
    def settings(self) -> dict[str, str]:
        """What a user of HiveGuard sets."""
        return {"HIVEGUARD_LABEL_STUDIO_URL": self.url, "HIVEGUARD_LABEL_STUDIO_TOKEN": self.token}

    def as_admin(self, method: str, path: str, **options: Any) -> Any:
        """The answer to a request of the admin, by the raw API."""
        answer = requests.request(
            method,
            self.url + path,
            headers={"Authorization": f"Token {self.token}"},
            timeout=60,
            **options,
        )
        assert answer.ok, f"{method} {path}: {answer.status_code} {answer.text[:500]}"
        return answer.json() if answer.content else None

    def tasks(self, project_id: int) -> list[dict[str, Any]]:
        """All tasks of a project, with what is on them."""
        path = f"/api/projects/{project_id}/export?exportType=JSON&download_all_tasks=true"
        found: list[dict[str, Any]] = self.as_admin("GET", path)
        return found

    def predictions(self, project_id: int) -> dict[str, list[dict[str, Any]]]:
        """The predictions of a project by our item ids, oldest first."""
        ids = {task["id"]: task["data"]["hg_id"] for task in self.tasks(project_id)}
        found: dict[str, list[dict[str, Any]]] = {}
        rows = self.as_admin("GET", f"/api/predictions/?project={project_id}")
        for row in sorted(rows, key=lambda row: row["id"]):
            found.setdefault(ids[row["task"]], []).append(row)
        return found


class Person:
    """Somebody who signs up and answers tasks as the editor in a browser does."""

    def __init__(self, server: RunningServer, email: str) -> None:
        self.email = email
        self._server, self._session = server, requests.Session()
        page = f"{server.url}/user/signup/"
        self._session.get(page, timeout=60)
        form = {
            "email": email,
            "password": "a-good-pass-1",
            "csrfmiddlewaretoken": self._session.cookies["csrftoken"],
        }
        answer = self._session.post(page, data=form, headers={"Referer": page}, timeout=60)
        assert self("GET", "/api/current-user/whoami")["email"] == email, answer.text[:500]

    def __call__(self, method: str, path: str, **options: Any) -> Any:
        answer = self._session.request(
            method,
            self._server.url + path,
            headers={"X-CSRFToken": self._session.cookies["csrftoken"], "Referer": self._server.url},
            timeout=60,
            **options,
        )
        assert answer.ok, f"{method} {path}: {answer.status_code} {answer.text[:500]}"
        return answer.json() if answer.content else None

    def answer(self, task_id: int, result: list[dict[str, Any]], seconds: float = 2.5) -> int:
        """Submit an annotation; returns its id."""
        body = {"result": result, "lead_time": seconds, "draft_id": 0, "parent_prediction": None}
        made = self("POST", f"/api/tasks/{task_id}/annotations/", json=body)
        return int(made["id"])

    def skip(self, task_id: int) -> int:
        """Skip a task, which leaves an annotation that was cancelled."""
        path = f"/api/tasks/{task_id}/annotations/?was_cancelled=1"
        return int(self("POST", path, json={"result": [], "lead_time": 1.0})["id"])

    def draft(self, task_id: int, result: list[dict[str, Any]]) -> None:
        """Begin to answer, and not submit."""
        self("POST", f"/api/tasks/{task_id}/drafts", json={"result": result, "lead_time": 1.0})

    def change(self, annotation_id: int, result: list[dict[str, Any]]) -> None:
        """Update an annotation that was submitted."""
        body = {"result": result, "lead_time": 4.0}
        self("PATCH", f"/api/annotations/{annotation_id}/", json=body)

    def delete(self, annotation_id: int) -> None:
        """Delete an annotation."""
        self("DELETE", f"/api/annotations/{annotation_id}/")


def choice(name: str, to_name: str = "image") -> list[dict[str, Any]]:
    """The result of choosing a class."""
    return [
        {
            "id": secrets.token_hex(5),
            "from_name": "choice",
            "to_name": to_name,
            "type": "choices",
            "origin": "manual",
            "value": {"choices": [name]},
        }
    ]


def span(start: int, end: int, text: str, label: str) -> dict[str, Any]:
    """A region that marks a part of a text, as the editor writes it."""
    return {
        "id": secrets.token_hex(5),
        "from_name": "label",
        "to_name": "text",
        "type": "labels",
        "origin": "manual",
        "value": {"start": start, "end": end, "text": text, "labels": [label]},
    }


def box(
    x: float, y: float, width: float, height: float, label: str, rotation: float = 0, size: int = 200
) -> dict[str, Any]:
    """A region that marks a box in percents, as the editor writes it."""
    return {
        "id": secrets.token_hex(5),
        "from_name": "label",
        "to_name": "image",
        "type": "rectanglelabels",
        "origin": "manual",
        "original_width": size,
        "original_height": size,
        "image_rotation": 0,
        "value": {
            "x": x,
            "y": y,
            "width": width,
            "height": height,
            "rotation": rotation,
            "rectanglelabels": [label],
        },
    }
