"""A file object over byte ranges of a remote file, of which a bounded part is kept in memory."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable

from understudy_media.limits import MIB, Deadline
from understudy_media.refusal import Refusal

BLOCK_BYTES = MIB // 4
CACHE_BLOCKS = 64
# Blocks fetched at once when reading runs on from one block into the next.
RUN_BLOCKS = 8


class RangeReader:
    """A read-only, seekable file for FFmpeg. It keeps at most CACHE_BLOCKS * BLOCK_BYTES (16 MB) in memory.

    `fetch(start, stop)` returns exactly the bytes in that half-open range. Refusal is raised by a read that would fetch
    more than `budget` bytes in all, or that comes after `deadline`. FFmpeg may take such an error for the end of the
    file, so the first error is kept in `failure`. Whoever opened the reader must raise it again.
    """

    def __init__(
        self, fetch: Callable[[int, int], bytes], size: int, *, budget: int, deadline: Deadline, first: bytes = b""
    ) -> None:
        self.size = size
        self.requests = 0
        self.fetched_bytes = 0
        self.peak_bytes = 0
        self.failure: Exception | None = None
        self._fetch = fetch
        self._budget = budget
        self._deadline = deadline
        self._position = 0
        self._blocks: OrderedDict[int, bytes] = OrderedDict()
        if first:
            self.requests = 1
            self._keep(0, first)

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._position

    def seek(self, offset: int, whence: int = 0) -> int:
        """Move as io.IOBase does. Nothing is fetched before the next read."""
        position = offset + (0, self._position, self.size)[whence]
        if position < 0:
            raise ValueError("negative seek position")
        self._position = position
        return position

    def read(self, size: int = BLOCK_BYTES) -> bytes:
        """Return at most `size` bytes, none from beyond the current block, as raw files may; b"" at the end."""
        if self._position >= self.size or size <= 0:
            return b""
        number, offset = divmod(self._position, BLOCK_BYTES)
        data = self._block(number)[offset : offset + size]
        self._position += len(data)
        return data

    def _block(self, number: int) -> bytes:
        if number not in self._blocks:
            try:
                self._load(number)
            except Exception as error:
                self.failure = self.failure or error
                raise
        self._blocks.move_to_end(number)
        return self._blocks[number]

    def _load(self, number: int) -> None:
        self._deadline.check()
        # Sound and frames may be in different parts of the file, each read in sequence. So a sequential read is
        # recognised by the previous block in the cache, not by the last position.
        blocks = RUN_BLOCKS if number - 1 in self._blocks else 1
        start, stop = number * BLOCK_BYTES, min((number + blocks) * BLOCK_BYTES, self.size)
        if self.fetched_bytes + stop - start > self._budget:
            raise Refusal("too_large", "The video has too much data to read. Send a smaller video.")
        self.requests += 1
        self._keep(number, self._fetch(start, stop))

    def _keep(self, number: int, data: bytes) -> None:
        self.fetched_bytes += len(data)
        for offset in range(0, len(data), BLOCK_BYTES):
            self._blocks[number + offset // BLOCK_BYTES] = data[offset : offset + BLOCK_BYTES]
        while len(self._blocks) > CACHE_BLOCKS:
            self._blocks.popitem(last=False)
        self.peak_bytes = max(self.peak_bytes, sum(map(len, self._blocks.values())))
