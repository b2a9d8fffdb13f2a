"""Encrypted values of one row, bound to other rows: copies of a sandbox's row that harbor can read.

harbor encrypts with XChaCha20-Poly1305 and binds each value to its column and row. A copy keeps nonce and ciphertext, so
only its tag, which the row's id goes into, is computed anew. That is quick enough in Python; nonces that repeat would be
a fault anywhere but in a database of a bench.
"""
import hmac
import struct
from hashlib import sha256

NONCE, TAG = 24, 16
MASK = 0xFFFFFFFF
CONSTANTS = struct.unpack("<4I", b"expand 32-byte k")
ROUNDS = ((0, 4, 8, 12), (1, 5, 9, 13), (2, 6, 10, 14), (3, 7, 11, 15), (0, 5, 10, 15), (1, 6, 11, 12), (2, 7, 8, 13), (3, 4, 9, 14))
CLAMP, PRIME = 0x0FFFFFFC0FFFFFFC0FFFFFFC0FFFFFFF, (1 << 130) - 5


def database_key(key, salt):
    """HKDF-SHA-256 of the configured key and salt, as harbor derives it."""
    seed = hmac.digest(salt.encode(), key.encode(), sha256)
    return hmac.digest(seed, b"harbor: secrets in the database\x01", sha256)


class Bound:
    """One encrypted value of the row `row`; `to` gives the same text bound to another row."""

    def __init__(self, key, column, row, value):
        self.column, self.body, self.text = column, value[:-TAG], value[NONCE:-TAG]
        one_time = authentication_key(key, value[:NONCE])
        self.r = int.from_bytes(one_time[:16], "little") & CLAMP
        self.s = int.from_bytes(one_time[16:], "little")
        if self.to(row) != value:
            raise ValueError(f"{column} of {row} is not encrypted with this key")

    def to(self, row):
        bound = f"{self.column} of {row}".encode()
        message = padded(bound) + padded(self.text) + struct.pack("<2Q", len(bound), len(self.text))
        total = 0
        for at in range(0, len(message), 16):
            total = (total + int.from_bytes(message[at:at + 16] + b"\x01", "little")) * self.r % PRIME
        return self.body + ((total + self.s) & ((1 << 128) - 1)).to_bytes(16, "little")


def padded(data):
    return data + bytes(-len(data) % 16)


def authentication_key(key, nonce):
    """The one-time key of Poly1305 that XChaCha20 gives for this nonce."""
    mixed = mix([*CONSTANTS, *struct.unpack("<8I", key), *struct.unpack("<4I", nonce[:16])])
    start = [*CONSTANTS, *mixed[:4], *mixed[12:], 0, 0, *struct.unpack("<2I", nonce[16:])]
    return struct.pack("<8I", *((a + b) & MASK for a, b in zip(mix(start)[:8], start)))


def mix(words):
    """The twenty rounds of ChaCha."""
    words = list(words)
    for _ in range(10):
        for a, b, c, d in ROUNDS:
            for left, right, target, shift in ((a, b, d, 16), (c, d, b, 12), (a, b, d, 8), (c, d, b, 7)):
                words[left] = (words[left] + words[right]) & MASK
                turned = words[target] ^ words[left]
                words[target] = (turned << shift | turned >> (32 - shift)) & MASK
    return words
