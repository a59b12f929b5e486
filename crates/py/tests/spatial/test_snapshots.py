"""Grids in files and in pickles."""

from __future__ import annotations

import copy
import errno
import os
import pickle
import socket
import threading
import zlib
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from ottava.errors import ArgumentError, OttavaError, SnapshotError
from ottava.spatial import TokenGrid


def same(a: TokenGrid, b: TokenGrid, queries: np.ndarray) -> None:
    assert sorted(a) == sorted(b)
    assert a.axes == b.axes
    assert a.metric == b.metric
    assert a.cell_size == b.cell_size
    np.testing.assert_array_equal(a.scales, b.scales)
    for x, y in zip(a.nearest(queries, 5), b.nearest(queries, 5), strict=True):
        np.testing.assert_array_equal(x, y)
    np.testing.assert_array_equal(a.influence(queries), b.influence(queries))
    assert a.get(10)[2:] == b.get(10)[2:]


@pytest.mark.parametrize("mmap", [True, False])
@pytest.mark.parametrize("metric", ["euclidean", "manhattan", "mahalanobis"])
def test_there_and_back(cloud: np.ndarray, tmp_path: Path, mmap: bool, metric: str) -> None:
    ids = np.arange(10, len(cloud) + 10)
    scales = np.linspace(0.5, 2, 8) if metric != "mahalanobis" else np.ones(8)
    grid = TokenGrid.from_arrays(
        ids, cloud, weight=0.5, field_radius=0.3, field_strength=2, axes=list("abcdefgh"), scales=scales, metric=metric
    )
    path = tmp_path / "grid.ottava"
    grid.save(path)
    opened = TokenGrid.open(str(path), mmap=mmap)
    opened.verify()
    same(grid, opened, cloud[:50])
    opened.insert(1, [0.5] * 8)
    opened.remove(11)
    opened.move(12, [0.4] * 8)
    assert 1 in opened
    assert opened.nearest([0.5] * 8).ids.tolist() == [1]
    opened.save(path)
    again = TokenGrid.open(path, mmap=mmap)
    same(opened, again, cloud[:50])
    assert len(TokenGrid.open(path)) == len(cloud)
    assert [entry.name for entry in tmp_path.iterdir()] == ["grid.ottava"]


def test_pickles_and_copies(grid: TokenGrid, cloud: np.ndarray) -> None:
    same(grid, pickle.loads(pickle.dumps(grid)), cloud[:20])
    other = copy.deepcopy(grid)
    other.remove(10)
    assert 10 in grid
    assert len(pickle.loads(pickle.dumps(TokenGrid()))) == 0


def nearest(grid: TokenGrid, q: list[float]) -> list[int]:
    return grid.nearest([q, q], 3).ids.tolist()[1]


@pytest.mark.parametrize("method", ["spawn", "fork"])
def test_other_processes(grid: TokenGrid, method: str) -> None:
    expected = nearest(grid, [0.5] * 8)  # starts the threads that a fork does not take along
    assert threading.active_count() == 1
    with ProcessPoolExecutor(1, mp_context=get_context(method)) as pool:
        assert pool.submit(nearest, grid, [0.5] * 8).result(timeout=300) == expected


def test_no_file(tmp_path: Path, grid: TokenGrid) -> None:
    with pytest.raises(FileNotFoundError) as caught:
        TokenGrid.open(tmp_path / "none")
    assert caught.value.filename == str(tmp_path / "none")
    with pytest.raises(FileNotFoundError) as caught:
        grid.save(tmp_path / "no" / "folder")
    assert (caught.value.errno, caught.value.filename) == (errno.ENOENT, str(tmp_path / "no" / "folder"))
    (tmp_path / "file").touch()
    with pytest.raises(NotADirectoryError) as not_a_folder:
        grid.save(tmp_path / "file" / "grid")
    assert (not_a_folder.value.errno, not_a_folder.value.filename) == (errno.ENOTDIR, str(tmp_path / "file" / "grid"))
    for call in (grid.save, TokenGrid.open, lambda path: TokenGrid.open(path, mmap=False)):
        with pytest.raises(IsADirectoryError) as folder:
            call(tmp_path)
        assert (folder.value.errno, folder.value.filename) == (errno.EISDIR, str(tmp_path))


def test_damaged_files(grid: TokenGrid, tmp_path: Path) -> None:
    path = tmp_path / "grid"
    grid.save(path)
    whole = path.read_bytes()
    rng = np.random.default_rng(0)
    for at in (0, 8, 70, *rng.integers(0, len(whole), 60)):
        broken = bytearray(whole)
        broken[at] ^= 0x40
        path.write_bytes(broken)
        for mmap in (True, False):
            with pytest.raises(SnapshotError, match=f"^{path}: section ") as caught:
                TokenGrid.open(path, mmap=mmap)
            assert isinstance(caught.value, OttavaError)
    for size in (0, 1, 63, 64, 100, 1000, len(whole) - 1):
        path.write_bytes(whole[:size])
        with pytest.raises(SnapshotError):
            TokenGrid.open(path)
    with pytest.raises(SnapshotError, match="^bytes: section header: "):
        TokenGrid._from_snapshot(b"no snapshot")


def test_a_newer_version_is_refused(grid: TokenGrid, tmp_path: Path) -> None:
    path = tmp_path / "grid"
    grid.save(path)
    newer = bytearray(path.read_bytes())
    newer[8:12] = (200).to_bytes(4, "little")
    newer[60:64] = zlib.crc32(newer[:60]).to_bytes(4, "little")
    path.write_bytes(newer)
    with pytest.raises(SnapshotError, match=f"^{path}: snapshot version 200 is newer than 2$"):
        TokenGrid.open(path)
    with pytest.raises(SnapshotError, match="^bytes: snapshot version 200 is newer than 2$"):
        TokenGrid._from_snapshot(bytes(newer))


def test_damage_is_not_copied(grid: TokenGrid, tmp_path: Path) -> None:
    """Unverified, a flipped bit is seen by `verify`, and before it would get a checksum of its own."""
    path = tmp_path / "grid"
    grid.save(path)
    whole = bytearray(path.read_bytes())
    at = whole.index(np.float32(grid.positions[1234]).tobytes())
    whole[at] ^= 1
    path.write_bytes(whole)
    for verify in (None, True):
        with pytest.raises(SnapshotError, match="section positions: checksum mismatch"):
            TokenGrid.open(path, verify=verify)
    for mmap in (True, False):
        opened = TokenGrid.open(path, mmap=mmap, verify=False)
        for copied in (opened.verify, lambda: opened.save(tmp_path / "other"), lambda: pickle.dumps(opened)):
            with pytest.raises(SnapshotError, match="section positions: checksum mismatch"):
                copied()
    assert [entry.name for entry in tmp_path.iterdir()] == ["grid"]


def test_a_large_file_is_checked_as_it_is_read(tmp_path: Path) -> None:
    """It opens at once; what is damaged is found by the first call that reads it, and never answered from."""
    path = tmp_path / "grid"
    positions = np.random.default_rng(3).random((900_000, 8), dtype=np.float32)
    grid = TokenGrid.from_arrays(np.arange(900_000)[::-1], positions, cell_size=1)
    grid.save(path)
    assert path.stat().st_size > 64 << 20
    whole = path.read_bytes()
    offset = whole.index(positions[123_456:123_460].tobytes())
    with path.open("r+b") as file:
        file.seek(offset + 5)
        file.write(bytes([whole[offset + 5] ^ 4]))
    with pytest.raises(SnapshotError, match=f"^{path}: section positions: checksum mismatch$"):
        TokenGrid.open(path, verify=True)
    opened = TokenGrid.open(path)
    for found, wanted in zip(opened.nearest(positions[:1000], 3), grid.nearest(positions[:1000], 3), strict=True):
        np.testing.assert_array_equal(found, wanted)
    np.testing.assert_array_equal(opened.get(7).position, grid.get(7).position)
    for opened in (TokenGrid.open(path), opened):
        damaged = 899_999 - 123_456
        calls = (
            lambda: opened.get(damaged),
            lambda: opened.nearest(positions[0]),
            lambda: opened.insert(1 << 40, positions[0]),
            lambda: 7 in opened,
            lambda: len(opened),
            lambda: opened.ids,
            lambda: opened.cell_of(positions[0]),
            lambda: opened.move(7, positions[0]),
            lambda: opened.optimize(),
        )
        for call in calls:
            with pytest.raises(SnapshotError, match=f"^{path}: section positions: checksum mismatch$"):
                call()
    assert repr(opened) == f"<ottava.TokenGrid damaged: {path}: section positions: checksum mismatch>"
    assert "section positions: checksum mismatch" in opened._repr_html_()
    with pytest.raises(SnapshotError, match="section positions"):
        TokenGrid.open(path).positions
    for check in (TokenGrid.verify, lambda grid: grid.save(tmp_path / "other"), pickle.dumps):
        opened = TokenGrid.open(path)
        for call in (check, len, lambda grid: grid.nearest(positions[0])):
            with pytest.raises(SnapshotError, match="section positions: checksum mismatch$"):
                call(opened)
    assert len(TokenGrid.open(path, verify=False).positions) == 900_000


def test_only_files_are_opened_and_replaced(tmp_path: Path, grid: TokenGrid, monkeypatch: pytest.MonkeyPatch) -> None:
    """As root, a file would take the place of a device."""
    pipe, address, link, other = (tmp_path / name for name in ("pipe", "socket", "link", "other"))
    os.mkfifo(pipe)
    link.symlink_to(pipe)
    with socket.socket(socket.AF_UNIX) as bound:
        monkeypatch.chdir(tmp_path)
        bound.bind(address.name)  # the whole path may be too long
        for path in (pipe, address, link):
            for call in (TokenGrid.open, grid.save):
                with pytest.raises(ArgumentError, match=f"^path: {path} is not a file$"):
                    call(path)
        assert pipe.is_fifo()
        assert link.is_symlink()
        assert address.is_socket()
    link.unlink()
    link.symlink_to(other)
    for _ in range(2):
        grid.save(link)
        assert link.is_symlink()
        assert other.is_file()
    assert len(list(tmp_path.iterdir())) == 4


def test_no_snapshot_is_read_to_its_end(tmp_path: Path) -> None:
    path = tmp_path / "large"
    path.touch()
    os.truncate(path, 1 << 42)
    for mmap in (True, False):
        with pytest.raises(SnapshotError, match="section header: this is not a snapshot"):
            TokenGrid.open(path, mmap=mmap)


def sealed(whole: bytearray) -> bytearray:
    """With checksums of what is in it now, as someone would make them who wants it to be read."""
    table = [whole[at : at + 64] for at in range(64, 64 + 64 * int.from_bytes(whole[12:16], "little"), 64)]
    sections = [(int.from_bytes(entry[24:32], "little"), int.from_bytes(entry[32:40], "little")) for entry in table]
    *sections, (offset, size) = sections
    sums = b""
    for start, length in sections:
        padded = whole[start : start + -(-length // 64) * 64]
        sums += b"".join(zlib.crc32(padded[at : at + (1 << 14)]).to_bytes(4, "little") for at in range(0, len(padded), 1 << 14))
    assert len(sums) == size
    whole[offset : offset + size] = sums
    whole[28:32] = zlib.crc32(whole[offset : offset + -(-size // 64) * 64]).to_bytes(4, "little")
    whole[24:28] = zlib.crc32(whole[64 : 64 + 64 * len(table)]).to_bytes(4, "little")
    whole[60:64] = zlib.crc32(whole[:60]).to_bytes(4, "little")
    return whole


def test_a_hostile_file_is_no_internal_error(tmp_path: Path) -> None:
    """Its checksums are right."""
    path = tmp_path / "grid"
    table = pa.table({"id": pa.array(range(300), pa.uint64()), "name": [f"n{i}" for i in range(300)], "x": [0.5] * 300})
    positions = np.random.default_rng(1).random((300, 8), dtype=np.float32)
    TokenGrid.from_arrow(table, id="id", positions=positions).save(path)
    whole = path.read_bytes()
    assert sealed(bytearray(whole)) == whole
    start = whole.index(b"columns1")
    rng = np.random.default_rng(2)
    refused = 0
    for attempt in range(300):
        changed = bytearray(whole)
        if attempt == 0:
            changed[start + 8 : start + 16] = b"\xff" * 8
        else:
            changed[start + 64 + rng.integers(0, 700)] ^= 1 << rng.integers(0, 8)
        path.write_bytes(sealed(changed))
        opened = TokenGrid.open(path)
        try:
            opened.rows([5, 7])
        except SnapshotError as error:
            assert "section attachment" in str(error)
            refused += 1
        assert opened.nearest(positions[7]).ids == [7]
    assert refused > 50


def test_what_could_not_be_opened_is_not_saved(grid: TokenGrid, tmp_path: Path) -> None:
    """A tree of tokens that are not there, with the right checksums."""
    path = tmp_path / "grid"
    grid.save(path)
    whole = bytearray(path.read_bytes())
    entry = next(at for at in range(64, 64 * 17, 64) if whole[at : at + 6] == b"slots\0")
    start = int.from_bytes(whole[entry + 24 : entry + 32], "little")
    whole[start : start + 64] = b"\xff" * 64
    path.write_bytes(sealed(whole))
    with pytest.raises(SnapshotError, match="section slots: no such token"):
        TokenGrid.open(path)
    opened = TokenGrid.open(path, verify=False)
    for call in (opened.verify, lambda: opened.save(tmp_path / "other"), lambda: pickle.dumps(opened)):
        with pytest.raises(SnapshotError, match="section slots: no such token"):
            call()
    assert [entry.name for entry in tmp_path.iterdir()] == ["grid"]


def test_a_damaged_token_is_not_blamed_on_an_argument(grid: TokenGrid, tmp_path: Path) -> None:
    path = tmp_path / "grid"
    grid.save(path)
    bytes = bytearray(path.read_bytes())
    at = bytes.index(grid.positions[1234].tobytes())
    bytes[at + 4 : at + 8] = np.float32(np.nan).tobytes()
    path.write_bytes(bytes)
    opened = TokenGrid.open(path, verify=False)
    for arguments in ({"k": 2}, {"radius": 0.1}):
        with pytest.raises(SnapshotError, match=f"^{path}: section positions: row 1234, axis 1: coordinate NaN"):
            opened.connect(**arguments)


def test_a_pickle_needs_a_folder_for_temporary_files(grid: TokenGrid, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    bytes = pickle.dumps(grid)
    monkeypatch.setenv("TMPDIR", str(tmp_path / "none"))
    with pytest.raises(FileNotFoundError):
        pickle.dumps(grid)
    with pytest.raises(FileNotFoundError):
        pickle.loads(bytes)
