"""What the page is served with; the page itself is tested in tests/web."""

import json
import socket
import threading
import time
import urllib.error
import urllib.parse
import urllib.request

import pytest

from deploy import DeployError, serving
from deploy.seal import ZEROS, seal
from deploy.serving import PAGE, make_server, make_site, write_site


@pytest.fixture
def no_packages(monkeypatch):
    monkeypatch.setattr(serving, "PACKAGES", ())


@pytest.fixture
def model(tmp_path):
    """What passes for an exported file where nothing runs it."""

    def make(name: str):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(f'"sha256": "{ZEROS}"')
        seal(path)
        return path

    return make


def test_models_are_offered_under_names_that_tell_them_apart(no_packages, model):
    paths = [model("a/best.onnx"), model("b/best.onnx"), model("masks.tflite")]
    site = make_site(paths)
    offered = json.loads(site["site.json"])["models"]
    assert [entry["name"] for entry in offered] == ["a/best", "b/best", "masks"]
    assert [site[entry["path"]] for entry in offered] == [path.read_bytes() for path in paths]


def test_any_name_of_a_file_can_be_asked_for(no_packages, model):
    site = make_site([model("fötö 50% #1?.onnx")])
    (offered,) = json.loads(site["site.json"])["models"]
    assert offered["file"] == "fötö 50% #1?.onnx"
    assert urllib.parse.quote(offered["path"]) == offered["path"] and offered["path"] in site


def test_a_browser_that_leaves_is_no_fault(no_packages, capfd):
    with make_server({"x": bytes(10**8)}, "localhost", 0) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        with socket.create_connection(("localhost", server.server_port)) as browser:
            browser.sendall(b"GET /x HTTP/1.1\r\n\r\n")
            browser.recv(10)
        while any("process_request" in each.name for each in threading.enumerate()):
            time.sleep(0.01)
        server.shutdown()
        thread.join()
    assert capfd.readouterr().err == ""


def test_another_model_is_another_version(no_packages, model):
    versions = {json.loads(make_site(paths)["site.json"])["version"] for paths in ([], [model("x.onnx")])}
    assert len(versions) == 2  # so that browsers take it up


def test_the_service_worker_keeps_all_of_the_page(no_packages):
    kept = (PAGE / "sw.js").read_text()
    for name in make_site([]):
        assert name in ("index.html", "sw.js") or f"'{name}'" in kept, name


def test_files_are_served_for_threads(no_packages):
    site = make_site([]) | {"runtime/x.wasm": b"\0asm"}
    with make_server(site, "localhost", 0) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        address = f"http://localhost:{server.server_port}/"
        for path, kind, content in (
            ("", "text/html; charset=utf-8", site["index.html"]),
            ("app.js?x", "text/javascript; charset=utf-8", site["app.js"]),
            ("runtime/x.wasm", "application/wasm", b"\0asm"),
        ):
            with urllib.request.urlopen(address + path) as answer:
                assert answer.read() == content and answer.headers["Content-Type"] == kind
                assert answer.headers["Cross-Origin-Opener-Policy"] == "same-origin"
                assert answer.headers["Cross-Origin-Embedder-Policy"] == "require-corp"
        for path in ("none", "../setup.py", "%2e%2e/setup.py"):
            with pytest.raises(urllib.error.HTTPError, match="404"):
                urllib.request.urlopen(address + path)
        with pytest.raises(DeployError, match=f"--port {server.server_port}: .*; name another"):
            make_server(site, "localhost", server.server_port)
        server.shutdown()
        thread.join()


def test_the_page_is_written_as_a_folder(no_packages, tmp_path):
    site = make_site([])
    write_site(site, tmp_path / "site")
    written = {
        path.relative_to(tmp_path / "site").as_posix() for path in (tmp_path / "site").rglob("*") if path.is_file()
    }
    assert written == site.keys()


def test_models_that_the_page_cannot_run_are_told(no_packages, model, tmp_path):
    (tmp_path / "x.onnx").write_bytes(b"hello")
    (tmp_path / "x.pte").write_bytes(b"hello")
    for name, said in (
        ("none.onnx", "no such file"),
        ("x.pte", r"runs \.tflite and \.onnx files"),
        ("x.onnx", "has no checksum"),
    ):
        with pytest.raises(DeployError, match=said):
            make_site([tmp_path / name])


def test_packages_that_cannot_be_had_are_told(tmp_path, monkeypatch):
    first = serving.PACKAGES[0]
    with pytest.raises(DeployError, match=f"has no {first.tarball}"):
        make_site([], tmp_path)
    (tmp_path / first.tarball).write_bytes(b"another")
    with pytest.raises(DeployError, match=r"is not @litertjs/core .* as it was published"):
        make_site([], tmp_path)
    with pytest.raises(DeployError, match="no such folder"):
        make_site([], tmp_path / "none")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("PATH", "")
    with pytest.raises(DeployError, match=r"from npm, which is not installed; .* --runtime-files"):
        make_site([])
