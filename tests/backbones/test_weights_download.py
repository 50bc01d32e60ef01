"""Downloads of weights: no network, servers that fail in their ways, and several processes at once."""

import threading
import time
from hashlib import sha256
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
import torch

from backbones import weights_download
from backbones.weights_download import fetch_url, in_time

CONTENT = bytes(range(256)) * 40_000
NAME = f"net-{sha256(CONTENT).hexdigest()[:8]}.pth"


class Server(BaseHTTPRequestHandler):
    """Answers every request as `/how/file` says: whole, cut, other, silent, or stalled after the first half."""

    def do_GET(self):
        how = self.path.split("/")[1]
        if how == "silent":
            time.sleep(5)
            return
        content = b"x" * len(CONTENT) if how == "other" else CONTENT
        self.send_response(404 if how == "none" else 200)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        half = content if how in ("whole", "other") else content[: len(content) // 2]
        self.wfile.write(half)
        self.wfile.flush()
        if how == "stalled":
            time.sleep(5)

    def log_message(self, *_):
        pass


@pytest.fixture
def server(tmp_path, monkeypatch):
    monkeypatch.setattr(torch.hub, "_hub_dir", str(tmp_path))
    monkeypatch.setattr(weights_download, "WAIT", 0.5)
    server = ThreadingHTTPServer(("127.0.0.1", 0), Server)
    server.handle_error = lambda *_: None
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()


def test_a_file_is_fetched_once(server, tmp_path):
    path = fetch_url(f"{server}/whole/{NAME}")
    assert path == tmp_path / "checkpoints" / NAME and path.read_bytes() == CONTENT
    assert fetch_url(f"{server}/none/{NAME}") == path


@pytest.mark.parametrize("how", ["silent", "stalled", "cut", "other", "none"])
def test_what_fails_is_one_line_and_leaves_nothing(how, server, tmp_path):
    with pytest.raises(ConnectionError) as caught:
        fetch_url(f"{server}/{how}/{NAME}")
    said = str(caught.value)
    assert said.startswith(f"could not fetch {server}/{how}/{NAME} (") and "\n" not in said
    assert f"put it at {tmp_path / 'checkpoints' / NAME}, or give its path in place of the weights" in said
    assert not list((tmp_path / "checkpoints").iterdir())


def test_half_a_file_in_its_place_is_no_whole_one(server, tmp_path):
    path = tmp_path / "checkpoints" / NAME
    path.parent.mkdir()
    path.write_bytes(CONTENT[:1000])
    with pytest.raises(ConnectionError, match="where another file lies than the one published, or give"):
        fetch_url(f"{server}/none/{NAME}")
    assert fetch_url(f"{server}/whole/{NAME}").read_bytes() == CONTENT


def test_two_at_once(server):
    found = []
    threads = [
        threading.Thread(target=lambda: found.append(fetch_url(f"{server}/whole/{NAME}").read_bytes()))
        for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [CONTENT] * 4


def test_a_name_server_that_is_silent(monkeypatch):
    with pytest.raises(TimeoutError, match=r"no answer within 0\.2 seconds"):
        in_time(lambda: time.sleep(5), 0.2)


def test_no_server_at_all(tmp_path, monkeypatch):
    monkeypatch.setattr(torch.hub, "_hub_dir", str(tmp_path))
    with pytest.raises(ConnectionError, match=r"could not fetch http://127\.0\.0\.1:9/net\.pth \(.*refused"):
        fetch_url("http://127.0.0.1:9/net.pth")
