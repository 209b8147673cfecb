from __future__ import annotations

import io
import random

import pytest

from understudy_media.limits import MIB, Deadline
from understudy_media.ranges import BLOCK_BYTES, CACHE_BLOCKS, RUN_BLOCKS, RangeReader
from understudy_media.refusal import Refusal

CACHE_BYTES = BLOCK_BYTES * CACHE_BLOCKS


def virtual(size: int, budget: int = 1 << 40) -> RangeReader:
    """Return a reader of a file of `size` zeros that needs no disk space."""
    return RangeReader(lambda start, stop: bytes(stop - start), size, budget=budget, deadline=Deadline(60))


def read_all(reader: RangeReader) -> bytes:
    return b"".join(iter(lambda: reader.read(100_000), b""))


def test_reads_what_a_file_would() -> None:
    rng = random.Random(3)
    data = rng.randbytes(3 * MIB + 17)
    reader = RangeReader(lambda a, b: data[a:b], len(data), budget=1 << 40, deadline=Deadline(60))
    file = io.BytesIO(data)
    for _ in range(300):
        whence = rng.choice((0, 1, 2))
        offset = {0: rng.randrange(len(data)), 1: rng.randrange(9999), 2: -rng.randrange(len(data))}[whence]
        assert reader.seek(offset, whence) == file.seek(offset, whence)
        want = rng.randrange(1, 2 * BLOCK_BYTES)
        got = reader.read(want)
        assert got == file.read(len(got))
        assert reader.tell() == file.tell()
        assert got or reader.tell() >= len(data)


def test_every_byte_is_fetched_once_in_long_runs() -> None:
    reader = virtual(40 * MIB + 5)
    assert len(read_all(reader)) == 40 * MIB + 5
    assert reader.fetched_bytes == 40 * MIB + 5
    assert reader.requests <= 2 + 40 * MIB // (BLOCK_BYTES * RUN_BLOCKS)


def test_a_jump_fetches_one_block() -> None:
    reader = virtual(1 << 30)
    reader.seek(700 * MIB)
    reader.read(10)
    assert (reader.requests, reader.fetched_bytes) == (1, BLOCK_BYTES)


@pytest.mark.parametrize("size", [64 * MIB, 256 * MIB])
def test_memory_does_not_grow_with_the_file(size: int) -> None:
    reader = virtual(size)
    while reader.read():
        pass
    assert reader.fetched_bytes == size
    assert reader.peak_bytes == CACHE_BYTES


def test_two_places_read_in_turn_keep_their_blocks() -> None:
    """Sound and pictures in different parts of the file are read without fetching blocks again."""
    reader = virtual(100 * MIB)
    for step in range(40):
        for base in (0, 50 * MIB):
            reader.seek(base + step * 50_000)
            reader.read(50_000)
    assert reader.fetched_bytes <= 2 * (40 * 50_000 + BLOCK_BYTES * (RUN_BLOCKS + 1))


def test_the_budget_ends_reading_and_is_remembered() -> None:
    reader = virtual(100 * MIB, budget=5 * MIB)
    with pytest.raises(Refusal) as caught:
        read_all(reader)
    assert caught.value.code == "too_large"
    assert reader.fetched_bytes <= 5 * MIB
    assert reader.failure is caught.value


def test_the_deadline_ends_reading() -> None:
    now = [0.0]
    reader = RangeReader(
        lambda a, b: bytes(b - a), 10 * MIB, budget=1 << 40, deadline=Deadline(5, clock=lambda: now[0])
    )
    assert reader.read(1)
    now[0] = 5.0
    reader.seek(9 * MIB)
    with pytest.raises(Refusal, match="too long"):
        reader.read(1)
