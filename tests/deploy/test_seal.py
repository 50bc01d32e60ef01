"""The checksum inside an exported file."""

import json
import random

import pytest

from deploy import DeployError
from deploy.seal import ZEROS, require_sealed, seal


def sealed(folder, text=None):
    path, beside = folder / "x.bin", folder / "y.bin"
    path.write_bytes(b"\x00before" + (text or json.dumps({"a": 1, "sha256": ZEROS, "b": 2})).encode() + bytes(200))
    beside.write_bytes(bytes(range(256)))
    seal(path, beside)
    require_sealed(path, beside)
    return path, beside


@pytest.mark.parametrize("text", [None, f"sha256&quot;: &quot;{ZEROS}&quot;"])
def test_every_changed_bit_is_noticed(text, tmp_path):
    files = sealed(tmp_path, text)
    draw = random.Random(0)
    for changed in files:
        whole = changed.read_bytes()
        for place in draw.sample(range(8 * len(whole)), 300):
            content = bytearray(whole)
            content[place // 8] ^= 1 << place % 8
            changed.write_bytes(content)
            with pytest.raises(DeployError, match=str(files[0])):
                require_sealed(*files)
        changed.write_bytes(whole[:-1])
        with pytest.raises(DeployError, match=r"x\.bin or .*y\.bin: was changed or damaged"):
            require_sealed(*files)
        changed.write_bytes(whole)


def test_files_of_others_have_none(tmp_path):
    (tmp_path / "x").write_bytes(b"something else")
    with pytest.raises(DeployError, match="no tool of this package wrote it"):
        require_sealed(tmp_path / "x")
