"""The password hash agrees with the specification's own examples."""

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mail_provisioner.domain.sha512_crypt import sha512_crypt
from mail_provisioner.passwords import hashed

# "Unix crypt using SHA-256 and SHA-512", U. Drepper, the test vectors at its end
VECTORS = [
    (
        "saltstring", 5000, "Hello world!",
        "$6$saltstring$svn8UoSVapNtMuq1ukKS4tPQd8iKwSMHWjl/O817G3uBnIFNjnQJuesI68u4OTLiBFdcbYEdFCoEOfaS35inz1",
    ),
    (
        "saltstringsaltstring", 10000, "Hello world!",
        "$6$rounds=10000$saltstringsaltst$OW1/O6BYHV6BcXZu8QVeXbDWra3Oeqh0sbHbbMCVNSnCM/UrjmM0Dp8vOuZeHBy/YTBmSK6H9qs/y3RnOaw5v.",
    ),
    (
        "toolongsaltstring", 5000, "This is just a test",
        "$6$toolongsaltstrin$lQ8jolhgVRVhY4b5pZKaysCLi0QBxGoNeKQzQ3glMhwllF7oGDZxUhx1yxdYcz/e1JSbq3y6JMxxl8audkUEm0",
    ),
    (
        "anotherlongsaltstring", 1400,
        "a very much longer text to encrypt.  This one even stretches over morethan one line.",
        "$6$rounds=1400$anotherlongsalts$POfYwTEok97VWcjxIiSOjiykti.o/pQs.wPvMxQ6Fm7I6IoYN3CmLs66x9t0oSwbtEW7o7UmJEiDwGqd8p4ur1",
    ),
    (
        "short", 77777, "we have a short salt string but not a short password",
        "$6$rounds=77777$short$WuQyW2YR.hBNpjjRhpYD/ifIw05xdfeEyQoMxIXbkvr0gge1a1x3yRULJ5CCaUeOxFmtlcGZelFl5CxtgfiAc0",
    ),
]  # fmt: skip


@pytest.mark.parametrize(("salt", "rounds", "password", "expected"), VECTORS)
def test_the_specifications_vectors(salt: str, rounds: int, password: str, expected: str) -> None:
    assert sha512_crypt(password, salt, rounds) == expected


def test_too_few_rounds_are_refused() -> None:
    with pytest.raises(ValueError, match="rounds"):
        sha512_crypt("x", "salt", 999)


@settings(max_examples=25, deadline=None)
@given(st.text(max_size=200), st.text("abcXYZ019./", min_size=1, max_size=16))
def test_every_password_hashes_to_86_characters(password: str, salt: str) -> None:
    assert re.fullmatch(r"[./0-9A-Za-z]{86}", sha512_crypt(password, salt, 1000).split("$")[-1])


def test_the_same_password_gets_another_salt_each_time() -> None:
    one, two = hashed("secret"), hashed("secret")
    assert one != two
    assert one.startswith("{SHA512-CRYPT}$6$")
    salt = one.split("$")[2]
    assert one == "{SHA512-CRYPT}" + sha512_crypt("secret", salt)
