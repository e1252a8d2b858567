"""SHA512-CRYPT, the password scheme that docker-mailserver writes (`{SHA512-CRYPT}$6$…`).

After Ulrich Drepper's public specification "Unix crypt using SHA-256 and SHA-512", version 0.6; the
standard library's `crypt` is gone since Python 3.13. Step numbers are the specification's.
"""

from hashlib import sha512

DEFAULT_ROUNDS = 5000
_MAX_SALT = 16
_ALPHABET = "./0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"


def sha512_crypt(password: str, salt: str, rounds: int = DEFAULT_ROUNDS) -> str:
    """`$6$salt$hash`, with `rounds=` where they are not the default; takes some 10 ms."""
    if not 1000 <= rounds <= 999_999_999:
        raise ValueError("rounds must be between 1,000 and 999,999,999")
    key, short = password.encode(), salt[:_MAX_SALT]
    digest = _digest(key, short.encode(), rounds)
    setting = "" if rounds == DEFAULT_ROUNDS else f"rounds={rounds}$"
    return f"$6${setting}{short}${_encode(digest)}"


def _digest(key: bytes, salt: bytes, rounds: int) -> bytes:
    current = _first(key, salt)  # steps 1 to 12
    p = _stretch(sha512(key * len(key)).digest(), len(key))  # 13 to 16
    s = _stretch(sha512(salt * (16 + current[0])).digest(), len(salt))  # 17 to 20
    for number in range(rounds):  # 21
        odd = number & 1
        mixed = sha512(p if odd else current)
        if number % 3:
            mixed.update(s)
        if number % 7:
            mixed.update(p)
        mixed.update(current if odd else p)
        current = mixed.digest()
    return current


def _first(key: bytes, salt: bytes) -> bytes:
    b = sha512(key + salt + key).digest()
    a = sha512(key + salt + _stretch(b, len(key)))
    length = len(key)
    while length:
        a.update(b if length & 1 else key)
        length >>= 1
    return a.digest()


def _stretch(block: bytes, length: int) -> bytes:
    return (block * (length // len(block) + 1))[:length]


def _encode(digest: bytes) -> str:
    """Step 22: three bytes to four characters, in the specification's order."""
    text = []
    for i in range(21):
        triple = [digest[i], digest[i + 21], digest[i + 42]]
        first, second, third = triple[i % 3 :] + triple[: i % 3]
        text.append(_characters(first << 16 | second << 8 | third, 4))
    return "".join(text) + _characters(digest[63], 2)


def _characters(value: int, count: int) -> str:
    return "".join(_ALPHABET[value >> 6 * i & 63] for i in range(count))
