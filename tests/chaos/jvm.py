"""The broker's heap, read from the counters that a JVM keeps in a mapped file: no agent and no JMX port needed."""

import struct
import tempfile
from pathlib import Path

import psutil

_MAGIC = 0xCAFEC0C0
_LONG = ord("J")
_HEADER_BYTES = 32


def heap_used_bytes(process: psutil.Process) -> int | None:
    """Returns the bytes used in all heap spaces, as of the last collection in each; None when the JVM tells nothing."""
    file = Path(tempfile.gettempdir()) / f"hsperfdata_{process.username()}" / str(process.pid)
    try:
        counters = parse(file.read_bytes())
    except OSError:
        return None
    used = [value for name, value in counters.items() if name.startswith("sun.gc.generation.") and ".space." in name]
    return sum(used) if used else None


def parse(raw: bytes) -> dict[str, int]:
    """Returns the 64-bit `.used` counters of a hsperfdata file (format 2.0, jdk.internal.perf).

    Header: magic (big-endian), byte order, version, accessible, used, overflow, time, offset and number of entries.
    Entry: length, offset of the name, vector length, type, flags, unit, variability, offset of the value.
    """
    if len(raw) < _HEADER_BYTES or struct.unpack_from(">I", raw)[0] != _MAGIC:
        return {}
    order = "<" if raw[4] == 1 else ">"
    at, entries = struct.unpack_from(f"{order}ii", raw, 24)
    found = {}
    for _ in range(entries):
        length, name_at, vector, kind = struct.unpack_from(f"{order}iiiB", raw, at)
        data_at = struct.unpack_from(f"{order}i", raw, at + 16)[0]
        if length <= 0:
            break
        name = raw[at + name_at : raw.index(b"\0", at + name_at)].decode()
        if kind == _LONG and vector == 0 and name.endswith(".used"):
            found[name] = struct.unpack_from(f"{order}q", raw, at + data_at)[0]
        at += length
    return found
