"""Rotated output: bounded on disk, read by absolute offset, never wrong."""

from pathlib import Path
from tempfile import TemporaryDirectory

from hypothesis import given
from hypothesis import strategies as st

from aimass.nodeagent.logs import Chunk, read_chunk, tail_offset
from aimass.nodeagent.shim_log import RotatingLog, newest_start, rotated


def written(folder: Path, *parts: bytes, file_bytes_max: int = 10, files_max: int = 3) -> Path:
    """Write parts through a small rotating log."""
    log = RotatingLog(str(folder), file_bytes_max, files_max)
    for part in parts:
        log.write(part)
    return folder


def read_all(folder: Path, offset: int = 0, bytes_max: int = 1000) -> list[Chunk]:
    """Read as a follower does, to the end."""
    chunks = []
    while (chunk := read_chunk(folder, offset, bytes_max)).data:
        chunks.append(chunk)
        offset = chunk.offset + len(chunk.data)
    return chunks


def test_files_are_named_by_their_first_offset(tmp_path: Path) -> None:
    """35 bytes in files of 10, two full ones kept: the first ten bytes are gone."""
    written(tmp_path, bytes(range(35)))
    assert rotated(str(tmp_path)) == [(10, f"log.{10:020}"), (20, f"log.{20:020}")]
    assert newest_start(str(tmp_path)) == 30
    assert (tmp_path / "log").read_bytes() == bytes(range(30, 35))


def test_what_was_rotated_away_is_counted(tmp_path: Path) -> None:
    """A reader that comes too late starts at the oldest byte there is, and knows the gap."""
    written(tmp_path, bytes(range(35)))
    assert read_all(tmp_path, 4)[0] == Chunk(10, bytes(range(10, 20)), skipped_bytes=6)
    assert read_all(tmp_path, 25) == [
        Chunk(25, bytes(range(25, 30))),
        Chunk(30, bytes(range(30, 35))),
    ]
    assert read_chunk(tmp_path, 35) == Chunk(35, b"")


def test_a_log_is_continued_where_it_was(tmp_path: Path) -> None:
    """Offsets go on: a shim that starts over an existing folder appends."""
    written(tmp_path, b"0123456789abc")
    written(tmp_path, b"def")
    assert b"".join(chunk.data for chunk in read_all(tmp_path)) == b"0123456789abcdef"


def test_an_output_that_is_not_there_is_empty(tmp_path: Path) -> None:
    """A shard that has not started yet."""
    assert read_chunk(tmp_path, 0) == Chunk(0, b"")
    assert tail_offset(tmp_path, 5) == 0


def test_a_full_disk_loses_output_and_not_the_shard(tmp_path: Path) -> None:
    """The log of a folder that is gone counts what it could not keep."""
    log = RotatingLog(str(tmp_path), 4, 2)
    (tmp_path / "log").unlink()
    log.write(b"12345678")
    assert log.lost_bytes == 4


def test_space_is_given_back_oldest_first_and_offsets_stay(tmp_path: Path) -> None:
    """35 bytes in files of 10: the two full files go first, then the end of the newest."""
    log = RotatingLog(str(tmp_path), 10, 3)
    log.write(bytes(range(35)))
    assert log.give_space_back() == 10
    assert rotated(str(tmp_path)) == [(20, f"log.{20:020}")]
    assert log.give_space_back() == 10
    assert read_all(tmp_path) == [Chunk(30, bytes(range(30, 35)), skipped_bytes=30)]
    assert [log.give_space_back(), log.give_space_back()] == [5, 0]
    log.write(b"more")
    assert read_all(tmp_path, 30) == [Chunk(30, b"more")]


@given(
    st.lists(st.text("ab\n", max_size=30).map(str.encode), max_size=8),
    st.integers(1, 12),
    st.integers(0, 60),
    st.integers(1, 9),
)
def test_a_reader_gets_every_byte_or_the_size_of_the_gap(
    parts: list[bytes], file_bytes_max: int, offset: int, bytes_max: int
) -> None:
    """Against the plain concatenation, from any offset and in pieces of any size."""
    whole = b"".join(parts)
    with TemporaryDirectory() as name:
        folder = written(Path(name), *parts, file_bytes_max=file_bytes_max)
        chunks = read_all(folder, offset, bytes_max)
        kept = sum(path.stat().st_size for path in folder.iterdir())
        assert kept <= 3 * file_bytes_max
        assert kept == len(whole) - max(len(whole) - kept, 0)
        first = max(offset, len(whole) - kept)
        assert b"".join(chunk.data for chunk in chunks) == whole[first:]
        assert sum(chunk.skipped_bytes for chunk in chunks) == (first - offset if chunks else 0)
        assert all(len(chunk.data) <= bytes_max for chunk in chunks)


@given(
    st.lists(st.text("ab\n", max_size=30).map(str.encode), max_size=8),
    st.integers(1, 12),
    st.integers(1, 9),
)
def test_a_tail_has_the_last_lines(parts: list[bytes], file_bytes_max: int, lines: int) -> None:
    """As `tail -n` counts them, over as many files as are kept."""
    with TemporaryDirectory() as name:
        folder = written(Path(name), *parts, file_bytes_max=file_bytes_max)
        kept = b"".join(chunk.data for chunk in read_all(folder))
        start = tail_offset(folder, lines)
        seen = b"".join(chunk.data for chunk in read_all(folder, start))
        assert seen == b"".join(kept.splitlines(keepends=True)[-lines:])
