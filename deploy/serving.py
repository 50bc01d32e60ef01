"""The page in web/ with its runtimes and models: served from this machine, or written as a folder for a web server."""

import base64
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from datasets.faults import one_line
from deploy.extras import DeployError
from deploy.seal import require_sealed
from tasks.writing import whole

PAGE = Path(__file__).resolve().parents[1] / "web"
SUFFIXES = (".tflite", ".onnx")
TYPES = {
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".mjs": "text/javascript; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".json": "application/json",
    ".webmanifest": "application/manifest+json",
    ".svg": "image/svg+xml",
    ".png": "image/png",
    ".wasm": "application/wasm",
}
HEADERS = {
    "Cross-Origin-Opener-Policy": "same-origin",  # these two let WebAssembly have threads
    "Cross-Origin-Embedder-Policy": "require-corp",
    "Cache-Control": "no-cache",
}
Site = dict[str, bytes]  # content by path


@dataclass(frozen=True)
class Package:
    """A package of npm: its checksum as npm's lock files have it, and the files that the page loads."""

    name: str
    version: str
    integrity: str
    files: str

    @property
    def tarball(self) -> str:
        """As `npm pack` calls it."""
        return f"{self.name.lstrip('@').replace('/', '-')}-{self.version}.tgz"


PACKAGES = (
    Package(
        "@litertjs/core",
        "2.5.3",
        "PlGmbMOq9WitX7FO0jhbdJw9GthatsyuCQXjTt/wJZo0FLaw48q4tz8IwqgqCIkviYGr9OFDL1kCnN4nzWoyJQ==",
        r"dist/index\.js|wasm/litert_wasm(_compat|_threaded)?_internal\.(js|wasm)",
    ),
    Package(
        "@litertjs/wasm-utils",
        "2.5.3",
        "4fJiw6tBQnIs+0jH/OQ16nYOiSl8/+zZnn5h2ul8aTKHi05sVqZW580Tmk78pC2kT39A9OYBVdFawteZ/sI1kQ==",
        r"dist/index\.js",
    ),
    Package(
        "onnxruntime-web",
        "1.30.0",
        "q0y+JrrtukXSzsBWEMccVfqX25LRmosXHF+CaRJmg8pZClzcV7svNc4rKY3jL02Vb7QmRMDs1SigqR4CXAfKYQ==",
        r"dist/(ort\.wasm\.min\.mjs|ort-wasm-simd-threaded\.(mjs|wasm))",
    ),
)


def make_site(models: list[Path], runtime_files: Path | None = None) -> Site:
    """All files of the page.

    Args:
        models: exported .tflite and .onnx files, of which the page offers a choice.
        runtime_files: folder with the tarballs of `PACKAGES`; by default npm fetches them into the user's cache.

    Raises:
        DeployError: if a model is none that the page runs, or is damaged, or a package cannot be had.
    """
    site = {path.relative_to(PAGE).as_posix(): path.read_bytes() for path in PAGE.rglob("*") if path.is_file()}
    offered = []
    if runtime_files is not None and not runtime_files.is_dir():
        raise DeployError(f"--runtime-files {runtime_files}: no such folder")
    for path in models:
        if not path.is_file():
            raise DeployError(f"--model {path}: no such file")
        if path.suffix not in SUFFIXES:
            raise DeployError(f"--model {path}: the page runs {' and '.join(SUFFIXES)} files; see tools/export.py")
        require_sealed(path)
        content = path.read_bytes()
        # two models may have one name, and a name what no address may
        place = f"models/{hashlib.sha256(content).hexdigest()[:16]}{path.suffix}"
        site[place] = content
        offered.append({"name": _name(path, models), "file": path.name, "path": place, "bytes": len(content)})
    folder = runtime_files or _fetched()
    for package in PACKAGES:
        site |= {f"runtime/{package.name}/{name}": content for name, content in _unpacked(package, folder).items()}
    digest = hashlib.sha256()
    for name, content in sorted(site.items()):
        digest.update(name.encode() + hashlib.sha256(content).digest())
    site["site.json"] = json.dumps({"version": digest.hexdigest()[:16], "models": offered}).encode()
    return site


def _name(path: Path, models: list[Path]) -> str:
    """What the page calls a model: its file's name, with the folder's where another one is called the same."""
    alike = [other for other in models if other.name == path.name]
    return path.stem if len(alike) == 1 else f"{path.resolve().parent.name}/{path.stem}"


def _fetched() -> Path:
    """The user's cache, once it has all tarballs."""
    folder = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "mobiledense" / "npm"
    lacking = [package for package in PACKAGES if not (folder / package.tarball).is_file()]
    if not lacking:
        return folder
    wanted = [f"{package.name}@{package.version}" for package in lacking]
    npm = shutil.which("npm")
    if npm is None:
        raise DeployError(
            f"the page needs {', '.join(wanted)} from npm, which is not installed; install it, or elsewhere type "
            f"npm pack {' '.join(wanted)} and give the folder to --runtime-files"
        )
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder) as fresh:
        command = [npm, "pack", "--silent", "--pack-destination", fresh, *wanted]
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode:
            raise DeployError(f"npm pack {' '.join(wanted)} failed: {one_line(done.stderr.strip() or done.stdout)}")
        for package in lacking:
            os.replace(_checked(package, Path(fresh)), folder / package.tarball)
    return folder


def _checked(package: Package, folder: Path) -> Path:
    """A package's tarball, which is the one that is pinned here."""
    path = folder / package.tarball
    if not path.is_file():
        raise DeployError(f"--runtime-files {folder}: has no {package.tarball}, which npm pack writes")
    digest = base64.b64encode(hashlib.sha512(path.read_bytes()).digest()).decode()
    if digest != package.integrity:
        raise DeployError(f"{path}: is not {package.name} {package.version} as it was published; remove it")
    return path


def _unpacked(package: Package, folder: Path) -> Site:
    with tarfile.open(_checked(package, folder)) as archive:
        found = {}
        for member in archive:
            name, content = member.name.removeprefix("package/"), archive.extractfile(member)
            if content is not None and re.fullmatch(package.files, name):
                found[name] = content.read()
    return found


def write_site(site: Site, folder: Path) -> None:
    """Write all files into a folder, for a web server.

    Raises:
        TaskError: if they cannot be written.
    """
    for name, content in site.items():
        with whole(folder / name) as unfinished:
            unfinished.write_bytes(content)


class Server(ThreadingHTTPServer):
    """A server that has nothing to say where a browser leaves before it has all of a file."""

    def handle_error(self, request: Any, client_address: Any) -> None:
        if not isinstance(sys.exc_info()[1], ConnectionError):
            super().handle_error(request, client_address)


def make_server(site: Site, host: str, port: int) -> Server:
    """A server of the files; `serve_forever` of it serves.

    Raises:
        DeployError: if the address is not to be had.
    """

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            name = self.path.split("?")[0].lstrip("/") or "index.html"
            content = site.get(name)
            self.send_response(404 if content is None else 200)
            for key, value in HEADERS.items():
                self.send_header(key, value)
            self.send_header("Content-Type", TYPES.get(Path(name).suffix, "application/octet-stream"))
            self.send_header("Content-Length", str(len(content or b"")))
            self.end_headers()
            self.wfile.write(content or b"")

        def log_message(self, *arguments: Any) -> None:
            pass  # a line for each file helps nobody

    try:
        return Server((host, port), Handler)
    except (OSError, UnicodeError) as error:
        said = getattr(error, "strerror", None) or error
        raise DeployError(f"--host {host} --port {port}: {said}; name another") from None
