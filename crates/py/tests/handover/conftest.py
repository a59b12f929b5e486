"""Both ends of a hand-over."""

from __future__ import annotations

import gc
import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from handed import MODES, Pair

from ottava import handover


@pytest.fixture
def place() -> Iterator[Path]:
    """An empty directory with a path short enough for a socket."""
    with tempfile.TemporaryDirectory(dir="/tmp") as folder:
        yield Path(folder)


@pytest.fixture(params=MODES, ids=lambda mode: f"{mode[0]}-{'trusted' if mode[1] else 'sealed'}")
def pair(request: pytest.FixtureRequest, place: Path) -> Iterator[Pair]:
    transport, trusted = request.param
    server = handover.Server(transport=transport, trusted=trusted, slots=3, directory=place)
    client = handover.connect(server.address, server.token(), trusted=trusted)
    yield server, client
    client.close()
    gc.collect()
    server.close(60)
    assert list(place.iterdir()) == []


@pytest.fixture(scope="module")
def peers() -> dict[str, list[str]]:
    """A producer or consumer in each language; `cargo xtask test` has built the one in Rust before."""
    root = Path(__file__).parents[4]
    command = ["cargo", "build", "--workspace", "--all-features", "--example", "handover_peer", "--message-format=json"]
    built = subprocess.run(command, cwd=root, stdout=subprocess.PIPE, text=True, check=True)
    artifacts = [json.loads(line) for line in built.stdout.splitlines()]
    (rust,) = (found["executable"] for found in artifacts if found.get("target", {}).get("name") == "handover_peer")
    return {"rust": [rust], "python": [sys.executable, str(Path(__file__).with_name("handover_peer.py"))]}
