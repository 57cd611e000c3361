"""Where bytes are not UTF-8, all at once: a decoder stops at the first place, and starts anew.

The rules are those of RFC 3629, section 4, by what may follow which byte.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

LONGEST_BYTES = 4
"""Of a character."""
_PIECE_BYTES = 1 << 17
"""As much is looked at at a time: it fits a core's cache, and bounds the memory."""
_CONTINUES = 0x80
_TWO, _THREE, _FOUR = 0xC0, 0xE0, 0xF0
"""From here on, a byte begins a character of so many bytes at least."""
_NEVER = 0xF5
_SECOND_BYTES = {0xE0: (0xA0, 0xBF), 0xED: (0x80, 0x9F), 0xF0: (0x90, 0xBF), 0xF4: (0x80, 0x8F)}
"""What else must follow these: else it is longer than needed, a surrogate, or beyond Unicode."""


def breaks(data: bytes) -> NDArray[np.int64]:
    """Return the places, ascending, at which something stands that cannot follow what is before it.

    There is none exactly when ``data``, with ``LONGEST_BYTES - 1`` bytes of ASCII behind it, is
    UTF-8. A character that lacks bytes breaks at each place where it lacks one.
    """
    every = np.frombuffer(data, np.uint8)
    found = []
    for begin in range(0, len(every), _PIECE_BYTES):
        before = min(begin, LONGEST_BYTES - 1)
        piece = every[begin - before : begin + _PIECE_BYTES]
        found.append(np.flatnonzero(_is_break(piece)[before:]) + begin)
    return np.concatenate(found) if found else np.zeros(0, np.int64)


def _is_break(data: NDArray[np.uint8]) -> NDArray[np.bool_]:
    follows = np.zeros(len(data), bool)
    for distance, first in enumerate((_TWO, _THREE, _FOUR), 1):
        follows[distance:] |= data[:-distance] >= first
    found: NDArray[np.bool_] = follows != ((data & _TWO) == _CONTINUES)
    found |= (data >= _NEVER) | ((data & 0xFE) == _TWO)
    before, here = data[:-1], data[1:]
    for byte, (least, most) in _SECOND_BYTES.items():
        found[1:] |= (before == byte) & ((here < least) | (here > most))
    return found
