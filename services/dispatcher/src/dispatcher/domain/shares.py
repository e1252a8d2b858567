"""Who works on which partition: everybody alike, and a partition is given up before another takes it."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from postfleet.topology import JOB_PARTITIONS


@dataclass(frozen=True, slots=True)
class Change:
    take: tuple[int, ...] = ()
    let_go: tuple[int, ...] = ()


def fair_share(me: str, members: Collection[str]) -> int:
    """How many partitions are mine; the first by name have one more where it does not come out even."""
    everybody = sorted({me, *members})
    each, over = divmod(JOB_PARTITIONS, len(everybody))
    return each + (everybody.index(me) < over)


def change(
    me: str, members: Collection[str], holders: Mapping[int, str], busy: Collection[int] = ()
) -> Change:
    """What I take of what nobody holds, or give up of mine: idle ones first.

    `holders`: partition -> who holds it now, me included; whose lease has ended holds nothing.
    """
    mine = sorted(p for p, holder in holders.items() if holder == me)
    share = fair_share(me, members)
    if len(mine) > share:
        dearest = sorted(mine, key=lambda p: (p not in busy, p))
        return Change(let_go=tuple(dearest[share:]))
    free = [p for p in range(JOB_PARTITIONS) if p not in holders]
    return Change(take=tuple(free[: share - len(mine)]))
