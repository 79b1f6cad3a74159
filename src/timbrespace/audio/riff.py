"""What a file says it is, judged before any decoder sees it.

libsndfile 1.2.2 spins for ever, deaf to Ctrl-C, in files of 80 bytes whose LIST holds a sub-chunk
of 0xFFFFFFF8 bytes: the jump leads back to where it started (libsndfile issue 1118, open). Amiga
SVX has the same fault. So: only known magic bytes pass, SVX does not, and lists are walked here
first.
"""

import os

from timbrespace.errors import AudioError

_LISTED = {b"RIFF": "little", b"RF64": "little", b"BW64": "little", b"RIFX": "big"}
_MAGIC = {b"fLaC": "flac", b"OggS": "ogg", b"caff": "caf", b".snd": "au", b"NIST": "nist"}
_W64 = b"riff\x2e\x91\xcf\x11\xa5\xd6\x28\xdb\x04\xc1\x00\x00"
_UNKNOWN_LENGTHS = (0, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF)  # what writers to a pipe put down
_BACKWARDS = 0x80000000  # sizes from here on are negative in libsndfile's jump
MOST_LISTS = 256  # a file has a few; each is walked, so thousands would take hours


class Unusable(AudioError):
    """A file that cannot be used; `code` is one stable word for it, for reports and programs."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


def container(descriptor: int) -> str:
    """The kind of file behind an open descriptor: wav, aiff, flac, ogg, mp3, caf, au, w64 or nist.

    Unusable(not_audio) for anything else, Unusable(unsupported) for Amiga SVX.
    """
    start = _after_tags(descriptor)
    head = os.pread(descriptor, 16, start)
    if head[:4] in _LISTED and head[8:12] == b"WAVE":
        return "wav"
    if head[:4] == b"FORM":
        if head[8:12] in (b"AIFF", b"AIFC"):
            return "aiff"
        raise Unusable("unsupported", "an IFF file that is not AIFF (Amiga SVX is not read)")
    if head == _W64:
        return "w64"
    if head[:4] in _MAGIC:
        return _MAGIC[head[:4]]
    if len(head) > 2 and head[0] == 0xFF and head[1] & 0xE0 == 0xE0 and head[1] & 0x06:
        return "mp3"
    shown = head[:8].decode("ascii", "replace")
    if head[:7] == b"version":
        raise Unusable("not_audio", "a Git LFS pointer, not the sound itself; run: git lfs pull")
    raise Unusable("not_audio", f"not a sound file (it begins with {ascii(shown)})")


def _after_tags(descriptor: int) -> int:
    # libsndfile skips ID3 tags and then looks again, so a loop could hide behind one.
    start = 0
    for _ in range(16):
        head = os.pread(descriptor, 10, start)
        if head[:3] != b"ID3" or len(head) < 10:
            return start
        size = 0
        for byte in head[6:10]:
            size = size << 7 | byte & 0x7F
        start += 10 + size
    raise Unusable("malformed", "it begins with more ID3 tags than a sound file has")


def check_lists(descriptor: int, places: list[int]) -> None:
    """Refuse WAV lists that lead a decoder backwards. `places` are the offsets of every "LIST".

    The caller finds them in all bytes, wherever they lie: libsndfile realigns itself on damage, so
    a walk along the chunks would not see all that it sees. More than MOST_LISTS are refused.
    """
    if len(places) > MOST_LISTS:
        raise Unusable("malformed", "it has more lists of remarks than a sound file has")
    start = _after_tags(descriptor)
    order = _LISTED.get(os.pread(descriptor, 4, start), "little")
    size = os.fstat(descriptor).st_size
    for place in places:
        at = place + 12  # past LIST, its size and its type
        for _ in range(10_000):
            head = os.pread(descriptor, 8, at)
            if len(head) < 8 or at >= size:
                break
            length = int.from_bytes(head[4:], "big" if order == "big" else "little")
            if length >= _BACKWARDS:
                raise Unusable("malformed", "a list in it has a part of impossible size")
            if not head[:4].isascii():
                break
            at += 8 + length + (length & 1)


def missing_bytes(descriptor: int) -> int:
    """Bytes of sound that a WAV file announces but does not hold; 0 where it says none."""
    start = _after_tags(descriptor)
    head = os.pread(descriptor, 12, start)
    if head[:4] not in (b"RIFF", b"RIFX"):
        return 0
    order = "big" if head[:4] == b"RIFX" else "little"
    size, at = os.fstat(descriptor).st_size, start + 12
    for _ in range(1000):
        chunk = os.pread(descriptor, 8, at)
        if len(chunk) < 8:
            return 0
        length = int.from_bytes(chunk[4:], "big" if order == "big" else "little")
        if chunk[:4] == b"data":
            known = length not in _UNKNOWN_LENGTHS
            return max(0, length - (size - at - 8)) if known else 0
        at += 8 + length + (length & 1)
    return 0
