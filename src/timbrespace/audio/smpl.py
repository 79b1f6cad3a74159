"""The `smpl` chunk of a WAV: on which key it plays as it is, and where it loops.

Multimedia Programming Interface and Data Specifications 1.0 (1991), and its revision 3.0 (1994).
"""

import struct

FORWARD = 0  # the kind of loop that jumps from its end to its start


def with_loop(wav: bytes, sample_rate: int, key: int, loop: tuple[int, int] | None) -> bytes:
    """The bytes of a WAV file with a `smpl` chunk at its end.

    key is the MIDI number of the sound's pitch; loop the first and the last sample of the loop.
    """
    loops = b"" if loop is None else struct.pack("<6I", 0, FORWARD, *loop, 0, 0)
    facts = struct.pack("<9I", 0, 0, round(1e9 / sample_rate), key, 0, 0, 0, len(loops) // 24, 0)
    chunk = b"smpl" + struct.pack("<I", len(facts) + len(loops)) + facts + loops
    body = wav[8:] + b"\0" * (len(wav) % 2) + chunk
    return wav[:4] + struct.pack("<I", len(body)) + body
