"""Makes clips of any size: a short film and a `free` box, which players skip. The files are sparse."""

from __future__ import annotations

from pathlib import Path

MEBIBYTE = 1024 * 1024


def grow(clip: Path, size: int) -> None:
    """Enlarge a clip to `size` bytes, with a `free` box at its end."""
    have = clip.stat().st_size
    with clip.open("r+b") as file:
        file.seek(have)
        file.write(_free(size - have))
        file.truncate(size)


def with_index_at_end(clip: Path, target: Path, size: int) -> None:
    """Write a copy of the clip with its index at the end, after a `free` box. It has at least `size` bytes."""
    import av

    plain = target.with_suffix(".plain.mp4")
    with av.open(str(clip)) as source, av.open(str(plain), "w", format="mp4") as out:
        streams = {stream: out.add_stream_from_template(stream) for stream in source.streams}
        for packet in source.demux():
            if packet.dts is not None:
                packet.stream = streams[packet.stream]
                out.mux(packet)
    data = plain.read_bytes()
    plain.unlink()
    index = data.rfind(b"moov") - 4
    with target.open("wb") as file:
        file.write(data[:index])
        if size > len(data):
            file.write(_free(size - len(data)))
            file.seek(size - (len(data) - index))
        file.write(data[index:])


def _free(size: int) -> bytes:
    return (1).to_bytes(4, "big") + b"free" + size.to_bytes(8, "big")
