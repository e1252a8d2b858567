"""What is known better later: which kept hits of a delivery get another verdict, and who is its first.

Pure rules. A delivery counts as opened (and as clicked) once, for its first hit by a human. When that
hit turns out to be a machine's, the count is taken back or goes to the first human one that is left.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from postfleet.events.tracking import Verdict
from tracker.domain.hits import Hit, HitKind
from tracker.domain.neighbours import Neighbours, Step
from tracker.domain.networks import Networks
from tracker.domain.verdicts import Judgement, Surroundings, judge


@dataclass(frozen=True, slots=True)
class KeptHit:
    """`place` is the network that is left of its address; `changes` counts its corrections.

    `first` is the number of the count that its own event said, 0 if it said none.
    """

    hit: Hit
    judgement: Judgement
    place: str = ""
    canary: bool = False
    changes: int = 0
    first: int = 0


@dataclass(frozen=True, slots=True)
class Standing:
    """Which hit counts for a delivery and a kind: "" is none. `count` numbers how often one did.

    `corrected`: a correction said so; otherwise the hit's own event does.
    """

    hit_id: str = ""
    at_ms: int = 0
    count: int = 0
    corrected: bool = False
    revision: int | None = None  # None: nothing is kept yet


@dataclass(frozen=True, slots=True)
class Change:
    before: KeptHit
    judgement: Judgement


@dataclass(frozen=True, slots=True)
class Correction:
    """For one kind of hit: the new verdicts, and who counts now.

    `uncounted` is the number of the count that is taken back, 0 if there was none: a process may have
    ended between claiming to be the first and saying so.
    """

    kind: HitKind
    changes: tuple[Change, ...]
    before: Standing
    after: Standing
    uncounted: int = 0

    @property
    def counted(self) -> int:
        """The number of the new count, 0 if there is none."""
        return self.after.count if self.after.count != self.before.count else 0

    @property
    def difference(self) -> int:
        """What it does to the number of deliveries that were opened, or clicked."""
        return bool(self.counted) - bool(self.uncounted)


def judge_again(
    kept: Sequence[KeptHit], accepted_ms: int, networks: Networks, *, everything: bool
) -> list[Change]:
    """The hits whose verdict is another one now: by all rules, or by their neighbours only."""
    neighbours = neighbourhood(kept)
    changes = []
    for one in kept:
        found = judge(
            one.hit,
            Surroundings(accepted_ms, networks.find(one.place), one.canary, neighbours),
        )
        if found.verdict is one.judgement.verdict:
            continue
        if everything or found.by_neighbours:
            changes.append(Change(one, found))
    return changes


def neighbourhood(kept: Sequence[KeptHit]) -> Neighbours:
    return Neighbours([step_of(one.hit, canary=one.canary) for one in kept])


def step_of(hit: Hit, *, canary: bool) -> Step:
    return Step(hit.kind, hit.at_ms, hit.link_id, canary, hit.user_agent)


def corrections(
    kept: Sequence[KeptHit], changes: Sequence[Change], standings: Mapping[HitKind, Standing]
) -> list[Correction]:
    """What has to be written for a delivery; nothing if all is as it should be."""
    found = []
    for kind in (HitKind.OPENED, HitKind.CLICKED):
        of_kind = {k.hit.id: k for k in kept if k.hit.kind is kind}
        changed = {c.before.hit.id: c for c in changes if c.before.hit.id in of_kind}
        before = standings.get(kind, Standing())
        after = _standing(of_kind, changed, before)
        told = dict(changed)
        if after.count != before.count and not told:
            mover = of_kind[after.hit_id]  # its verdict stays; that it counts has to be said
            told[after.hit_id] = Change(mover, mover.judgement)
        if told or after != before:
            uncounted = _uncounted(of_kind, before) if after != before else 0
            found.append(Correction(kind, tuple(told.values()), before, after, uncounted))
    return found


def _uncounted(of_kind: Mapping[str, KeptHit], before: Standing) -> int:
    holder = of_kind.get(before.hit_id)
    said = before.corrected or holder is None or holder.first == before.count
    return before.count if before.hit_id and said else 0


def _standing(
    of_kind: Mapping[str, KeptHit], changed: Mapping[str, Change], before: Standing
) -> Standing:
    """Who counts: who did, unless it is no human or one that came earlier is a human after all."""
    humans = {id_ for id_, one in of_kind.items() if _verdict(one, changed) is Verdict.HUMAN}
    gone = before.hit_id not in of_kind  # hits are not kept for ever; what was counted stays
    stays = bool(before.hit_id) and (gone or before.hit_id in humans)
    able = [
        of_kind[id_].hit
        for id_ in humans
        if not stays or (id_ in changed and of_kind[id_].hit.at_ms < before.at_ms)
    ]
    if not able:
        return before if stays else replace(before, hit_id="", at_ms=0)
    first = min(able, key=lambda hit: (hit.at_ms, hit.id))
    return Standing(
        first.id, first.at_ms, before.count + 1, corrected=True, revision=before.revision
    )


def _verdict(kept: KeptHit, changed: Mapping[str, Change]) -> Verdict:
    change = changed.get(kept.hit.id)
    return change.judgement.verdict if change else kept.judgement.verdict
