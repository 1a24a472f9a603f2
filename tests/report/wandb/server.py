"""A server that takes runs as wandb's does, so far as its client asks: what was sent can be looked at."""

import gzip
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import unquote

import wandb

KEY = "0123456789" * 4
MANIFEST = "wandb_manifest.json"


@dataclass
class Kept:
    """One run as the server has it."""

    group: str | None = None
    job_type: str | None = None
    name: str | None = None
    config: dict = field(default_factory=dict)
    summary: dict = field(default_factory=dict)
    history: list[dict] = field(default_factory=list)
    files: dict[str, bytes] = field(default_factory=dict)
    artifacts: dict[str, "Artifact"] = field(default_factory=dict)


@dataclass
class Artifact:
    """An artifact as the server has it: what was said of it, its files, and whether the client has said that is all."""

    given: dict
    files: dict[str, bytes] = field(default_factory=dict)
    is_whole: bool = False


class Server(ThreadingHTTPServer):
    """Keeps runs by their ids."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.runs: dict[str, Kept] = {}
        self.artifacts: list[Artifact] = []  # their places are their ids
        self.url = f"http://127.0.0.1:{self.server_port}"
        self.lock = threading.Lock()

    @property
    def environment(self) -> dict[str, str]:
        """What leads wandb here."""
        return {"WANDB_BASE_URL": self.url, "WANDB_API_KEY": KEY}

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that leaves is none."""

    def answer(self, query: str, given: dict) -> dict:
        """Answer a request of GraphQL: the operations that a run and its artifacts need."""
        for operation, reply in _REPLIES.items():
            if operation in query:
                return reply(self, given)
        return {}


def _resume(server: Server, given: dict) -> dict:
    kept = server.runs.get(given["name"])
    if kept is None:
        return {"model": None}
    bucket = {
        "id": "B", "name": given["name"], "summaryMetrics": json.dumps(kept.summary), "displayName": kept.name,
        "logLineCount": 0, "historyLineCount": len(kept.history), "eventsLineCount": 0,
        "historyTail": json.dumps([json.dumps(line) for line in kept.history[-1:]]), "eventsTail": "[]",
        "config": json.dumps(kept.config), "tags": [], "notes": None, "wandbConfig": json.dumps({"t": 1}),
    }  # fmt: skip
    return {"model": {"id": "P", "name": given["project"], "entity": {"id": "E", "name": "us"}, "bucket": bucket}}


def _upsert(server: Server, given: dict) -> dict:
    new = given["name"] not in server.runs
    kept = server.runs.setdefault(given["name"], Kept())
    kept.group, kept.name = given.get("groupName") or kept.group, given.get("displayName") or kept.name
    kept.job_type = given.get("jobType") or kept.job_type
    kept.config |= json.loads(given.get("config") or "{}")
    project = {"id": "P", "name": given["project"], "entity": {"id": "E", "name": "us"}}
    bucket = {"id": "B", "name": given["name"], "displayName": kept.name, "sweepName": None, "project": project}
    bucket |= {"config": "{}", "historyLineCount": len(kept.history)}
    return {"upsertBucket": {"bucket": bucket, "inserted": new}}


def _run_files(server: Server, given: dict) -> dict:
    files = [{"name": name, "uploadUrl": f"{server.url}/runs/{given['run']}/{name}"} for name in given["files"]]
    return {"createRunFiles": {"runID": "B", "uploadHeaders": [], "files": files}}


def _artifact(server: Server, given: dict) -> dict:
    artifact = Artifact(given["input"])
    server.artifacts.append(artifact)
    for alias in artifact.given["aliases"]:
        server.runs[artifact.given["runName"]].artifacts[alias["artifactCollectionName"]] = artifact
    made = {"id": str(len(server.artifacts) - 1), "state": "PENDING"}
    made["artifactSequence"] = {"id": "S", "latestArtifact": None}
    return {"createArtifact": {"artifact": made}}


def _manifest(server: Server, artifact: str) -> dict:
    file = {"id": "F", "uploadUrl": f"{server.url}/artifacts/{artifact}/{MANIFEST}", "uploadHeaders": []}
    return {"artifactManifest": {"id": artifact, "file": file}}  # one an artifact, under its id


def _artifact_files(server: Server, given: dict) -> dict:
    nodes = []
    for each in given["input"]["artifactFiles"]:
        url = f"{server.url}/artifacts/{each['artifactID']}/{each['name']}"
        node = {"storagePath": None, "uploadUrl": url, "uploadHeaders": [], "uploadMultipartUrls": None}
        nodes.append({"node": node | {"artifact": {"id": each["artifactID"]}}})
    return {"createArtifactFiles": {"files": {"edges": nodes}}}


def _commit(server: Server, given: dict) -> dict:
    artifact = server.artifacts[int(given["artifactID"])]
    artifact.is_whole = True
    return {"commitArtifact": {"artifact": {"id": given["artifactID"], "digest": artifact.given["digest"]}}}


def _viewer(server: Server, given: dict) -> dict:
    return {"viewer": {"id": "V", "entity": "us", "username": "us", "teams": {"edges": []}, "flags": "{}"}}


_REPLIES = {
    "ArtifactType(": lambda *_: {"project": {"artifact": None, "artifactType": None}},  # a new one
    "query Viewer": _viewer,
    "query GetViewer": _viewer,
    "RunResumeStatus": _resume,
    "mutation UpsertBucket": _upsert,
    "CreateRunFiles": _run_files,
    "mutation CreateArtifact ": _artifact,
    "mutation CreateArtifact(": _artifact,
    "CreateArtifactManifest": lambda server, given: {"createArtifactManifest": _manifest(server, given["artifactID"])},
    "CreateArtifactFiles": _artifact_files,
    "CommitArtifact": _commit,
}


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        if not body.startswith((b"{", b"\x1f")):  # how wandb itself fares
            self._reply({})
            return
        asked = json.loads(gzip.decompress(body) if self.headers.get("Content-Encoding") == "gzip" else body)
        with self.server.lock:
            if self.path.endswith("/graphql"):
                self._reply({"data": self.server.answer(asked["query"], asked.get("variables") or {})})
            else:
                self._stream(self.path.split("/")[-2], asked)
                self._reply({"limits": {}})

    def _stream(self, run: str, asked: dict) -> None:
        kept = self.server.runs[run]
        for name, chunk in asked.get("files", {}).items():
            lines = [json.loads(line) for line in chunk["content"]] if name.endswith((".jsonl", ".json")) else []
            if name == "wandb-history.jsonl":
                kept.history[chunk["offset"] : chunk["offset"] + len(lines)] = lines
            elif name == "wandb-summary.json":
                kept.summary = lines[-1]

    def do_PUT(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        _, kind, key, name = unquote(self.path).split("/", 3)
        with self.server.lock:
            kept = self.server.artifacts[int(key)] if kind == "artifacts" else self.server.runs[key]
            kept.files[name] = body
        self._reply({})

    def do_GET(self) -> None:
        self._reply({})

    def _reply(self, content: dict) -> None:
        encoded = json.dumps(content).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(encoded)))
        self.end_headers()
        self.wfile.write(encoded)

    def log_message(self, *_) -> None: ...


@contextmanager
def serving() -> Iterator[Server]:
    """Run a server for as long as the block lasts."""
    server = Server()
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        wandb.teardown()  # a client that loses its server waits for it
        server.shutdown()
        server.server_close()
