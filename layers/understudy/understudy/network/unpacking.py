"""Bodies of responses, unpacked in chunks of limited size.

Understudy asks for bodies that are not packed. A server that packs nevertheless may be answering a paid order, so one
layer of gzip or deflate is unpacked all the same. httpx itself would unpack any number of layers, and each chunk whole:
a few hundred bytes can become a gigabyte before any limit is checked.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator

import httpx

CHUNK = 64 * 1024  # the most that is unpacked at once
NOT_PACKED = {"", "identity"}
_PACKED = {"gzip", "x-gzip", "deflate"}


def unpacked(response: httpx.Response) -> Iterator[bytes]:
    """Yield the body of a streamed response in chunks, unpacked if it was packed once.

    Raises httpx.DecodingError for any other content-encoding, and for data that cannot be unpacked.
    """
    encoding = response.headers.get("content-encoding", "").strip().lower()
    assert isinstance(response.stream, httpx.SyncByteStream)
    if encoding in NOT_PACKED:
        yield from response.stream
    elif encoding in _PACKED:
        try:
            yield from _unzipped(response.stream)
        except zlib.error as error:
            raise httpx.DecodingError("the body cannot be unpacked", request=response.request) from error
    else:
        raise httpx.DecodingError("the content-encoding is not supported", request=response.request)


def _unzipped(packed: httpx.SyncByteStream) -> Iterator[bytes]:
    unzip, empty = zlib.decompressobj(zlib.MAX_WBITS | 32), True  # 32: gzip or zlib, as the data says
    for left in packed:
        empty = empty and not left
        full = True  # there may be more than fits into a chunk
        while (left or full) and not unzip.eof:
            chunk = unzip.decompress(left, CHUNK)
            if chunk:
                yield chunk
            left, full = unzip.unconsumed_tail, len(chunk) == CHUNK
    if not unzip.eof and not empty:
        raise zlib.error("the body breaks off")
