"""Who may connect, read or squat: other users of the machine."""

from __future__ import annotations

import os
import socket
import stat
import sys
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pytest
from handed import TRANSPORTS, table

from ottava import handover


def _as_other_user(attempt: Callable[[], object]) -> str:
    """What comes of `attempt` in a child process of a user who may do nothing: its result, or the error that it raised."""
    read, write = os.pipe()
    pid = os.fork()
    if pid == 0:
        # Whatever happens, the child must not go on with the tests.
        try:
            os.setgroups([])
            os.setgid(65534)
            os.setuid(65534)
            answer = repr(attempt())
        except BaseException as error:
            answer = f"{type(error).__name__}: {error}"
        finally:
            os.write(write, answer.encode()[:4096])
            os._exit(0)
    os.close(write)
    with open(read, "rb") as pipe:
        answer = pipe.read().decode()
    os.waitpid(pid, 0)
    return answer


def _knock(path: str) -> bytes:
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as stranger:
        stranger.settimeout(60)
        stranger.connect(path)
        return stranger.recv(1)


@pytest.mark.skipif(sys.platform != "linux", reason="Unix sockets carry hand-overs on Linux only")
def test_private_places_have_private_modes() -> None:
    for transport in TRANSPORTS:
        with handover.Server(transport=transport) as server:
            places = [p for p in Path("/dev/shm").iterdir() if p.name.startswith(f"ottava-{os.getpid()}-")]
            assert len(places) == 1
            assert stat.S_IMODE(places[0].stat().st_mode) == 0o700
            if transport == "tcp":
                client = handover.connect(server.address, server.token())
                receipt = server.send(table())
                files = list(places[0].iterdir())
                assert [stat.S_IMODE(f.stat().st_mode) for f in files] == [0o600]
                assert len(files[0].name) == 32
                received = client.recv(timeout=60)
                del received
                receipt.wait(60)
                client.close()


only_root = pytest.mark.skipif(
    sys.platform != "linux" or os.geteuid() != 0, reason="only root can become another user"
)


@only_root
def test_other_users_cannot_connect(place: Path) -> None:
    place.chmod(0o755)
    with handover.Server(transport="unix", directory=place) as server:
        path = Path(server.address.removeprefix("unix:"))
        token = server.token()
        assert _as_other_user(lambda: _knock(str(path))).startswith("PermissionError")
        # Not even with the token, nor if the directory let them in: the server asks the kernel who they are.
        path.parent.chmod(0o711)
        path.chmod(0o777)
        assert _as_other_user(lambda: _knock(str(path))) in ("b''", "ConnectionResetError: [Errno 104] Connection reset by peer")
        answer = _as_other_user(lambda: handover.connect(server.address, token))
        assert answer.startswith("HandshakeError"), answer
        path.parent.chmod(0o700)
        handover.connect(server.address, token).close()


@only_root
def test_other_users_cannot_read_a_segment(place: Path) -> None:
    place.chmod(0o755)
    with handover.Server(transport="tcp", directory=place) as server:
        client = handover.connect(server.address, server.token())
        receipt = server.send(table())
        (private,) = place.iterdir()
        (file,) = private.iterdir()
        for attempt in (lambda: os.listdir(private), lambda: file.read_bytes(), lambda: os.truncate(file, 0)):
            assert _as_other_user(attempt).startswith("PermissionError")
        received = client.recv(timeout=60)
        assert pa.table(received).equals(table())
        del received
        receipt.wait(60)
        client.close()
    # What has no name is not there to be opened: neither by name nor through /proc.
    with handover.Server(transport="unix", directory=place) as server:
        client = handover.connect(server.address, server.token())
        receipt = server.send(table())
        (private,) = place.iterdir()
        assert [path.name for path in private.iterdir()] == ["control"]
        pid = os.getpid()
        assert _as_other_user(lambda: os.listdir(f"/proc/{pid}/fd")).startswith("PermissionError")
        client.recv(timeout=60)
        receipt.wait(60)
        client.close()


@only_root
def test_other_users_cannot_squat_a_name(place: Path) -> None:
    place.chmod(0o1777)

    def squat() -> list[str]:
        # Names like those of a server that is gone, with something inside; and a link where a directory might be.
        start = Path("/proc/self/stat").read_text().rsplit(")", 1)[1].split()[19]
        names = [f"ottava-999999999-5-{'0' * 32}", f"ottava-{os.getppid()}-{start}-{'1' * 32}"]
        for name in names:
            os.mkdir(place / name, 0o777)
            (place / name / "control").write_text("mine")
        os.symlink("/etc", place / f"ottava-999999999-6-{'2' * 32}")
        return sorted(names)

    squatted = _as_other_user(squat)
    assert squatted.startswith("["), squatted
    before = {path.name for path in place.iterdir()}
    assert len(before) == 3
    for transport in TRANSPORTS:
        with handover.Server(transport=transport, directory=place) as server:
            # It is none of those, and swept none of them either: they are not this user's.
            (own,) = {path.name for path in place.iterdir()} - before
            assert (place / own).stat().st_uid == os.geteuid()
            client = handover.connect(server.address, server.token())
            receipt = server.send(table())
            received = client.recv(timeout=60)
            assert pa.table(received).equals(table())
            del received
            receipt.wait(60)
            client.close()
        assert {path.name for path in place.iterdir()} == before
    # Nor is a client led into a directory that is another user's.
    for name in before:
        path = place / name / "control"
        with pytest.raises(handover.HandoverError):
            handover.connect(f"unix:{path}", "0" * 32)
