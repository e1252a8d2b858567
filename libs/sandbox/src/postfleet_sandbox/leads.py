"""A lead file for the demo: `python -m postfleet_sandbox.leads --rows 200 --seed 1`.

The people in it behave as the sandbox with the same seed decides; they are chosen so that every
behaviour occurs as often as its share says.
"""

import argparse
import csv
import io
import random
import sys
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from postfleet_sandbox.behaviours import SHARES, drawn

COLUMNS = ("email", "first_name", "company", "city")
_MALFORMED = (
    "no-at-sign.example",
    "@{domain}",
    "jane.doe@",
    "two@@{domain}",
    "john doe@{domain}",
    "double..dot@{domain}",
    "jane@double..dot.test",
    "comma,in@{domain}",
    "angle<bracket>@{domain}",
    "trailing-dot.@{domain}",
)
_MALFORMED_SHARE = 0.04
_DUPLICATE_SHARE = 0.05
_BOUNCING = ("bounce", "dsn")
_FIRST_NAMES = (
    "Ada", "Alan", "Anna", "Ben", "Carla", "Chen", "Clara", "David", "Elena", "Emil", "Fatima",
    "Felix", "Grace", "Hugo", "Ines", "Ivan", "Jana", "Jonas", "Karim", "Lea", "Lucas", "Maria",
    "Max", "Mina", "Noah", "Nora", "Olga", "Omar", "Paul", "Rosa", "Sami", "Sara", "Tariq", "Zoe",
)  # fmt: skip
_LAST_NAMES = (
    "Adler", "Bauer", "Costa", "Dubois", "Eriksen", "Fischer", "Garcia", "Haas", "Ito", "Jansen",
    "Keller", "Lindqvist", "Moreau", "Nowak", "Okafor", "Petrov", "Quinn", "Rossi", "Schmidt",
    "Tanaka", "Ueda", "Varga", "Weber", "Xu", "Young", "Zimmer",
)  # fmt: skip
_COMPANIES = (
    "Acme Tools", "Blue Harbour", "Cobalt & Sons", "Delta Foods, Ltd.", "Evergreen Energy",
    "Foxglove Media", "Granite Works", "Hollow Oak", "Ibis Travel", 'Juniper "Fine" Goods',
)  # fmt: skip
_CITIES = ("Berlin", "Köln", "Lisbon", "London", "Lyon", "Madrid", "Oslo", "Praha", "Roma", "Wien")


@dataclass(frozen=True, slots=True)
class DemoLeads:
    """The file and what is in it. `duplicates` may differ from their first row in case only."""

    csv_bytes: bytes  # UTF-8, with a header row
    valid: tuple[str, ...]  # the distinct addresses that can be sent to, in order
    malformed: tuple[str, ...]
    duplicates: tuple[str, ...]
    behaviours: Mapping[str, int]  # how many of `valid` behave how


def demo_leads(seed: int = 1, rows: int = 200, domain: str = "people.test") -> DemoLeads:
    """Make a lead file of `rows` data rows; the same arguments make the same file."""
    chance = random.Random(f"{seed} {rows} {domain}")  # noqa: S311
    malformed = [
        _MALFORMED[number % len(_MALFORMED)].format(domain=domain)
        for number in range(round(rows * _MALFORMED_SHARE))
    ]
    duplicate_count = round(rows * _DUPLICATE_SHARE)
    people = _people(seed, rows - len(malformed) - duplicate_count, domain, chance)
    repeated = chance.sample([person["email"] for person in people], duplicate_count)
    duplicates = [_respelled(email, number) for number, email in enumerate(repeated)]
    table = list(people)
    for email in malformed:
        table.insert(chance.randrange(len(table) + 1), _person(email, chance))
    for email, first in zip(duplicates, repeated, strict=True):
        after = next(at for at, person in enumerate(table) if person["email"] == first)
        table.insert(chance.randrange(after + 1, len(table) + 1), _person(email, chance))
    return DemoLeads(
        csv_bytes=_as_csv(table),
        valid=tuple(person["email"] for person in people),
        malformed=tuple(malformed),
        duplicates=tuple(duplicates),
        behaviours=Counter(drawn(seed, person["email"]) for person in people),
    )


def _people(seed: int, count: int, domain: str, chance: random.Random) -> list[dict[str, str]]:
    """Choose people so that every behaviour gets its share, and spread those who bounce."""
    wanted = _quotas(count)
    chosen: list[str] = []
    bouncing: list[str] = []
    for email in _addresses(domain, chance):
        behaviour = drawn(seed, email)
        if wanted[behaviour]:
            wanted[behaviour] -= 1
            (bouncing if behaviour in _BOUNCING else chosen).append(email)
        if len(chosen) + len(bouncing) == count:
            break
    # Evenly, so that the bounce rate of no stretch of the file looks worse than the whole.
    step = count / (len(bouncing) + 1)
    for number, email in enumerate(bouncing, start=1):
        chosen.insert(round(number * step), email)
    return [_person(email, chance) for email in chosen]


def _quotas(count: int) -> Counter[str]:
    quotas = Counter({name: int(count * share) for name, share in SHARES.items()})
    quotas["accept"] += count - quotas.total()
    return quotas


def _addresses(domain: str, chance: random.Random) -> Iterator[str]:
    names = [f"{first}.{last}".lower() for first in _FIRST_NAMES for last in _LAST_NAMES]
    number = 1
    while True:
        chance.shuffle(names)
        suffix = "" if number == 1 else str(number)
        yield from (f"{name}{suffix}@{domain}" for name in names)
        number += 1


def _person(email: str, chance: random.Random) -> dict[str, str]:
    first_name = email.partition("@")[0].partition(".")[0].strip("0123456789").capitalize()
    return {
        "email": email,
        "first_name": first_name,
        "company": chance.choice(_COMPANIES),
        "city": chance.choice(_CITIES),
    }


def _respelled(email: str, number: int) -> str:
    return (email, email.upper(), email.title())[number % 3]


def _as_csv(table: Sequence[Mapping[str, str]]) -> bytes:
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, COLUMNS, lineterminator="\r\n")
    writer.writeheader()
    writer.writerows(table)
    return text.getvalue().encode()


def main() -> None:
    """Write the file to standard output."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=200)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--domain", default="people.test")
    wanted = parser.parse_args()
    leads = demo_leads(wanted.seed, wanted.rows, wanted.domain)
    sys.stdout.buffer.write(leads.csv_bytes)


if __name__ == "__main__":
    main()
