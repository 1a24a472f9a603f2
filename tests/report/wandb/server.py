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

    def to_resume(self, name: str) -> dict:
        """What the client asks of a run that it takes up."""
        return {
            "id": "B", "name": name, "summaryMetrics": json.dumps(self.summary), "displayName": self.name,
            "logLineCount": 0, "historyLineCount": len(self.history), "eventsLineCount": 0,
            "historyTail": json.dumps([json.dumps(line) for line in self.history[-1:]]), "eventsTail": "[]",
            "config": json.dumps(self.config), "tags": [], "notes": None, "wandbConfig": json.dumps({"t": 1}),
        }  # fmt: skip


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
        name = given.get("name")
        project = {"id": "P", "name": given.get("project"), "entity": {"id": "E", "name": "us"}}
        if "query Viewer" in query or "query GetViewer" in query:
            return {"viewer": {"id": "V", "entity": "us", "username": "us", "teams": {"edges": []}, "flags": "{}"}}
        if "RunResumeStatus" in query:
            kept = self.runs.get(name)
            return {"model": None if kept is None else project | {"bucket": kept.to_resume(name)}}
        if "mutation UpsertBucket" in query:
            is_new = name not in self.runs
            kept = self.runs.setdefault(name, Kept())
            kept.group, kept.name = given.get("groupName") or kept.group, given.get("displayName") or kept.name
            kept.job_type = given.get("jobType") or kept.job_type
            kept.config |= json.loads(given.get("config") or "{}")
            bucket = {"id": "B", "name": name, "displayName": kept.name, "sweepName": None, "project": project}
            bucket |= {"config": "{}", "historyLineCount": len(kept.history)}
            return {"upsertBucket": {"bucket": bucket, "inserted": is_new}}
        if "CreateRunFiles" in query:
            files = [{"name": each, "uploadUrl": f"{self.url}/runs/{given['run']}/{each}"} for each in given["files"]]
            return {"createRunFiles": {"runID": "B", "uploadHeaders": [], "files": files}}
        return self._answer_artifact(query, given)

    def _answer_artifact(self, query: str, given: dict) -> dict:
        if "ArtifactType(" in query:
            return {"project": {"artifact": None, "artifactType": None}}  # a new one
        if "mutation CreateArtifact " in query or "mutation CreateArtifact(" in query:
            artifact = Artifact(given["input"])
            self.artifacts.append(artifact)
            for alias in artifact.given["aliases"]:
                self.runs[artifact.given["runName"]].artifacts[alias["artifactCollectionName"]] = artifact
            made = {"id": str(len(self.artifacts) - 1), "state": "PENDING"}
            return {"createArtifact": {"artifact": made | {"artifactSequence": {"id": "S", "latestArtifact": None}}}}
        if "CreateArtifactManifest" in query:
            place = given["artifactID"]
            file = {"id": "F", "uploadUrl": f"{self.url}/artifacts/{place}/{MANIFEST}", "uploadHeaders": []}
            return {"createArtifactManifest": {"artifactManifest": {"id": place, "file": file}}}
        if "CreateArtifactFiles" in query:
            nodes = []
            for each in given["input"]["artifactFiles"]:
                url = f"{self.url}/artifacts/{each['artifactID']}/{each['name']}"
                node = {"storagePath": None, "uploadUrl": url, "uploadHeaders": [], "uploadMultipartUrls": None}
                nodes.append({"node": node | {"artifact": {"id": each["artifactID"]}}})
            return {"createArtifactFiles": {"files": {"edges": nodes}}}
        if "CommitArtifact" in query:
            artifact = self.artifacts[int(given["artifactID"])]
            artifact.is_whole = True
            return {"commitArtifact": {"artifact": {"id": given["artifactID"], "digest": artifact.given["digest"]}}}
        return {}


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
                return
            kept = self.server.runs[self.path.split("/")[-2]]
            for name, chunk in asked.get("files", {}).items():
                lines = [json.loads(line) for line in chunk["content"]] if name.endswith((".jsonl", ".json")) else []
                if name == "wandb-history.jsonl":
                    kept.history[chunk["offset"] : chunk["offset"] + len(lines)] = lines
                elif name == "wandb-summary.json":
                    kept.summary = lines[-1]
            self._reply({"limits": {}})

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
