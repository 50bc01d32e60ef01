"""A stand-in for the Hugging Face hub: downloads and uploads as its library asks for them, out of a folder."""

import base64
import json
import shutil
import time
from hashlib import sha1, sha256
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote, urlparse

import yaml

TOKEN = "hf_standin"
LICENSES = ("apache-2.0", "cc-by-nc-4.0", "other")  # a few of those that the hub knows
HIDDEN = ("fault", "private")  # of a repository's folder


class Hub(ThreadingHTTPServer):
    """Serves the repositories OWNER/NAME of a folder; what is pushed lands there.

    A file named `fault` in a repository's folder holds how the server fails: silent, cut or other.
    """

    def __init__(self, root: Path) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.root, self.address = root, f"http://127.0.0.1:{self.server_port}"

    def handle_error(self, *_):
        """Clients that give up are no fault."""

    def commit(self, repository: Path) -> str:
        """What names the content that a repository has now, which stays under that name."""
        paths = files(repository)
        digest = sha1(b"".join(str(path).encode() + (repository / path).read_bytes() for path in paths)).hexdigest()
        kept = self.root / "commits" / digest
        for path in paths:
            if not (kept / path).exists():
                (kept / path).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(repository / path, kept / path)
        return digest


def files(repository: Path) -> list[Path]:
    found = sorted(path.relative_to(repository) for path in repository.rglob("*") if path.is_file())
    return [path for path in found if str(path) not in HIDDEN]


class Handler(BaseHTTPRequestHandler):
    server: Hub

    def do_HEAD(self):
        self.do_GET(body=False)

    def do_GET(self, body=True):
        parts = [unquote(part) for part in urlparse(self.path).path.strip("/").split("/")]
        if parts[0] == "api":
            self.tell(parts[1:])
            return
        owner, name, _, revision, *file = parts
        repository = self.server.root / owner / name
        fault = (repository / "fault").read_text() if (repository / "fault").is_file() else ""
        if fault == "silent":
            time.sleep(5)
            return
        if not repository.is_dir():
            self.refuse(404, "RepoNotFound")
            return
        commit = self.server.commit(repository) if revision == "main" else revision
        kept = self.server.root / "commits" / commit
        if revision != "main" and not kept.is_dir():
            self.refuse(404, "RevisionNotFound")
            return
        path = kept.joinpath(*file)
        if not path.is_file():
            self.refuse(404, "EntryNotFound", commit)
            return
        content = path.read_bytes()
        etag = sha256(content).hexdigest()
        content = bytes(len(content)) if fault == "other" else content
        self.send_response(200)
        self.send_header("X-Repo-Commit", commit)
        self.send_header("ETag", f'"{etag}"')
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if body:
            self.wfile.write(content[: len(content) // 2] if fault == "cut" else content)

    def tell(self, parts):
        """/api/models/OWNER/NAME of a repository, and its files behind /tree."""
        _, owner, name, *rest = parts
        repository = self.server.root / owner / name
        if not repository.is_dir():
            self.refuse(404, "RepoNotFound")
        elif rest[:1] == ["tree"]:
            tree = [{"type": "file", "path": str(path), "size": 1, "oid": "0" * 40} for path in files(repository)]
            self.answer(tree)
        else:
            siblings = [{"rfilename": str(path)} for path in files(repository)]
            told = {"id": f"{owner}/{name}", "sha": self.server.commit(repository), "siblings": siblings}
            private = (repository / "private").read_text() == "True"
            self.answer(told | {"private": private, "tags": [], "downloads": 0})

    def do_POST(self):
        content = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        parts = [unquote(part) for part in urlparse(self.path).path.strip("/").split("/")][1:]
        if self.headers.get("Authorization") != f"Bearer {TOKEN}":
            self.refuse(401, "", message="Invalid username or password.")
        elif parts == ["repos", "create"]:
            self.create(json.loads(content))
        elif parts == ["validate-yaml"]:
            header = yaml.safe_load(json.loads(content)["content"].split("---")[1])
            known = header.get("license") in (None, *LICENSES)
            message = '"license" must be one of [apache-2.0, ...]'
            self.answer({} if known else {"errors": [{"message": message}]}, 200 if known else 400)
        elif parts[3] == "preupload":
            paths = [file["path"] for file in json.loads(content)["files"]]
            self.answer({"files": [{"path": p, "uploadMode": "regular", "shouldIgnore": False} for p in paths]})
        else:
            self.write(self.server.root / parts[1] / parts[2], [json.loads(line) for line in content.splitlines()])

    def create(self, asked):
        owner = asked.get("organization") or "me"
        repository = self.server.root / owner / asked["name"].rpartition("/")[2]
        if owner != "me":
            self.refuse(403, "", message=f"You don't have the rights to create a model under the namespace {owner}")
        elif repository.is_dir():
            self.answer({"url": f"{self.server.address}/{owner}/{repository.name}"}, 409)
        else:
            repository.mkdir(parents=True)
            private = bool(asked.get("private")) or asked.get("visibility") == "private"
            (repository / "private").write_text(str(private))
            self.answer({"url": f"{self.server.address}/{owner}/{repository.name}"})

    def write(self, repository, operations):
        for key, value in ((operation["key"], operation["value"]) for operation in operations):
            if key == "deletedFile":
                (repository / value["path"]).unlink()
            elif key == "file":
                (repository / value["path"]).write_bytes(base64.b64decode(value["content"]))
        commit = self.server.commit(repository)
        self.answer({"commitUrl": f"{self.server.address}/me/net/commit/{commit}", "commitOid": commit})

    def answer(self, content, status=200):
        text = json.dumps(content).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def refuse(self, status, code, commit="0" * 40, message=""):
        self.send_response(status)
        self.send_header("X-Error-Code", code)
        self.send_header("X-Error-Message", message)
        self.send_header("X-Repo-Commit", commit)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_):
        pass
