"""Serve the page that runs exported models in a browser, with camera, images and videos; nothing is sent anywhere.

python tools/serve_demo.py --model runs/shapes_v3-small_lraspp/best.tflite
python tools/serve_demo.py --model masks.tflite boxes.onnx --port 9000
python tools/serve_demo.py --model best.tflite --output site
"""

import sys
from pathlib import Path

sys.path[0] = str(Path(__file__).resolve().parents[1])

from datasets.ranges import check_options
from tools.cli import command


def serve_demo(
    model: list[Path],
    host: str = "localhost",
    port: int = 8000,
    runtime_files: Path | None = None,
    output: Path | None = None,
) -> None:
    """Serve the page in web/ with models to choose from; Ctrl-C ends it.

    The first time, npm fetches LiteRT.js and ONNX Runtime (45 MB) into ~/.cache/mobiledense.

    Args:
        model: .tflite and .onnx files of tools/export.py.
        host: to listen at; 0.0.0.0 for other devices. Browsers give camera and offline use to https and localhost only,
            which a phone on a cable has by: adb reverse tcp:8000 tcp:8000
        port: to listen at; 0 for any that is free.
        runtime_files: folder with the packages of npm, where there is no network.
        output: write all files into this folder and serve nothing; any web server with https then serves them.
    """
    check_options(port=(port, 0, 65535))
    from deploy.serving import make_server, make_site, write_site

    site = make_site(model, runtime_files)
    if output is not None:
        write_site(site, output)
        print(f"wrote {len(site)} files to {output}, {sum(map(len, site.values())) / 1e6:.0f} MB")
        return
    with make_server(site, host, port) as server:
        print(f"http://{host}:{server.server_port}/ until Ctrl-C", flush=True)
        server.serve_forever()


if __name__ == "__main__":
    command(serve_demo)
