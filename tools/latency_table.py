"""Measure how long each layer takes on a device, for tools/netadapt.py and tools/search.py to add up.

python tools/latency_table.py --backbone v3-small --head lraspp --size 360 480 --classes 11 --output table.json
python tools/latency_table.py --checkpoint best.ckpt --runtime onnxruntime --output table.json
python tools/latency_table.py --checkpoint best.ckpt --runtime litert --step 32 --write-layers my_layers
python tools/latency_table.py --read-layers my_layers --device "Pixel 6" --output table.json
"""

import sys
from pathlib import Path
from typing import Any, Literal

sys.path[0] = str(Path(__file__).resolve().parents[1])

from backbones.backbone_options import BackboneOptions
from datasets.ranges import SIDE, check_options
from tasks.errors import RunError, require_checkpoint
from tools.cli import command


def latency_table(
    backbone_options: BackboneOptions,
    checkpoint: str | None = None,
    backbone: str | None = None,
    head: str | None = None,
    classes: int | None = None,
    size: tuple[int, int] | None = None,
    head_options: dict[str, Any] | None = None,
    runtime: Literal["torch", "onnxruntime", "litert"] = "torch",
    threads: int = 1,
    space: Literal["netadapt", "search"] = "netadapt",
    step: int = 8,
    rounds: int = 20,
    check: int = 20,
    write_layers: Path | None = None,
    read_layers: Path | None = None,
    device: str = "a phone",
    output: Path = Path("latency.json"),
    overwrite: bool = False,
) -> Path:
    """Measure every layer that a search can meet, hold the sums to whole networks, and write a latency table.

    What was stopped goes on with the same command. Nothing else should run on the machine meanwhile.

    Args:
        backbone_options: what the backbone is built with.
        checkpoint: of the widest network, in place of backbone, head, classes, size and head_options.
        backbone: of the widest network; by default v3-large.
        head: lraspp, ssdlite, ssdlite-torchvision or classifier; by default lraspp.
        classes: by default 1000 for the classifier, 19 for segmentation, 90 for detection.
        size: height and width of the image; by default 224 224.
        head_options: options of the head, such as --head-options.filters 256.
        runtime: what runs the layers: torch as a checkpoint predicts, or onnxruntime or litert as exported files do.
        threads: of the runtime.
        space: whose networks' layers are measured: netadapt's, which have fewer channels, or those of tools/search.py,
            which varies the rows of v3-small or v3-large. A table can have both, one after the other.
        step: for netadapt, between numbers of channels, a multiple of 8. Above 8 there are fewer layers to measure, and
            those between them are interpolated where --interpolate is given to a search.
        rounds: how often each layer is timed.
        check: how many whole networks the table is held to at the end; 0 for none.
        write_layers: measure nothing, but write each layer as a file for a phone's own benchmark tool into this folder,
            with a script that runs it (litert or onnxruntime).
        read_layers: make the table of what that script left in such a folder; --device and --output alone count beside.
        device: of --read-layers, in words.
        output: the table's file; beside it, .check.json and .png show predicted and measured networks.
        overwrite: replace a table that is there.
    """
    ranges: dict[str, Any] = {"threads": (threads, 1, 1024), "step": (step, 8, 1024), "rounds": (rounds, 1, 10**6)}
    ranges |= {"check": (check, 0, 10**4), "classes": (classes, 1, 10**5)}
    check_options(**ranges, size=(size, 1, SIDE[1]))
    if step % 8:
        raise RunError(f"--step {step}: must be a multiple of 8")
    if not 0 < len(device.strip()) <= 200:
        raise RunError(f"--device {device[:40]!r}: say in 1 to 200 characters what it is")
    if output.suffix == ".png":
        raise RunError(f"--output {output}: a table is JSON, and its plot beside it has that name; give one with .json")
    if read_layers is not None:
        from search.making_tables import table_of_phone

        return table_of_phone(read_layers, device, output, overwrite)
    if checkpoint is not None:
        given = {"backbone": backbone, "head": head, "classes": classes, "size": size, "head-options": head_options}
        given |= backbone_options.given()
        for name in (name for name, value in given.items() if value is not None):
            raise RunError(f"--{name.replace('_', '-')}: --checkpoint {checkpoint} has its own; leave one of them out")
        require_checkpoint(Path(checkpoint))
    from search.making_tables import layers_for_phone, measure_table
    from tasks.costs import build_spec
    from tasks.wings import load_task

    if checkpoint is not None:
        spec = load_task(Path(checkpoint), "cpu").spec
    else:
        of_network = backbone or "v3-large", head or "lraspp", classes, head_options, backbone_options
        spec = build_spec(*of_network, size or (224, 224))
    if write_layers is not None:
        return layers_for_phone(spec, space, runtime, threads, step, write_layers)
    return measure_table(spec, space, runtime, threads, step, rounds, check, output, overwrite)


if __name__ == "__main__":
    command(latency_table)
