"""Holds and owners' own terms: who decides, on which ground, until when; each a line of the ledger."""

from collections.abc import Sequence
from datetime import datetime
from itertools import groupby

import msgspec

from koinon.base.clock import rfc3339
from koinon.base.database import Connection
from koinon.base.errors import Conflict, Invalid, NotAllowed, NotFound
from koinon.base.ids import new_id
from koinon.trust.ledger import Entry, Log, Sealer, append
from koinon.trust.parties import Author, PartyId
from koinon.trust.standing import Standing
from koinon.video.cameras.model import CameraId
from koinon.video.terms import policy
from koinon.video.terms.deletion import regimes_of
from koinon.video.terms.model import Hold, HoldBasis, HoldId, NewHold
from koinon.video.terms.regimes import list_hold_bases
from koinon.video.terms.store import due
from koinon.video.terms.store import holds as store


def bases_of(standing: Standing, author: Author, now: datetime) -> list[HoldBasis]:
    """The grounds on which this person may hold images, by code; none for somebody without a party."""
    if author.party is None or author.person is None:
        return []
    kind = standing.party_kind(author.party)
    found = list_hold_bases(regimes_of(standing), kind, str(author.party), author.profile, now)
    return sorted(found, key=lambda each: each.code)


async def place_hold(
    connection: Connection, sealer: Sealer, standing: Standing, author: Author, asked: NewHold, now: datetime
) -> list[Hold]:
    """Images of the cameras in that interval are not deleted, by term or by pressure, until the hold ends.

    In a transaction; from its commit on. What was deleted before is gone. Never past the legal maximum of the images,
    unless the ground says up to which age.

    Records: `terms.hold_placed` (exchange log), one for each owner of cameras.

    Raises:
        NotAllowed: `hold_not_allowed`; the codes of `Standing.check_actor`: who was suspended holds nothing.
        NotFound: `camera_unknown`, also for one that exists and is neither the party's own nor shared; `hold_unknown`.
        Invalid: the codes of `policy.check_hold`.
    """
    bases = {each.code: each for each in bases_of(standing, author, now)}
    policy.check_hold(asked, bases.get(asked.basis), now)
    standing.check_author(author, now)
    basis = bases[asked.basis]
    assert author.person is not None and author.party is not None
    await due.take_turn(connection)
    if asked.renews is not None:
        before = await store.find_hold(connection, asked.renews)
        if before is None or before.hold.owner != author.party:
            raise NotFound("hold_unknown")
    targets = {each.id: each for each in await store.list_targets(connection, asked.cameras)}
    for camera in asked.cameras:
        target = targets.get(camera)
        if target is None or not (target.owner == author.party or target.shared):
            raise NotFound("camera_unknown")
    decision = new_id()
    holds = [
        Hold(
            id=HoldId(new_id()), decision=decision, camera=camera, since=asked.since, until=asked.until,
            owner=author.party, basis=basis.code, rule=basis.rule, article=basis.article, reason=asked.reason.strip(),
            case=asked.case.strip(), keeps_days=basis.keeps_days, placed_by=author.person, placed_at=now,
            ends_at=asked.ends_at, renews=asked.renews,
        )
        for camera in dict.fromkeys(asked.cameras)
    ]  # fmt: skip
    await store.insert_holds(connection, holds)
    by_owner = sorted(holds, key=lambda each: str(targets[each.camera].owner))
    entries = []
    for owner, each in groupby(by_owner, key=lambda hold: targets[hold.camera].owner):
        same = list(each)
        entries.append(
            Entry(
                log=Log.EXCHANGE, kind="terms.hold_placed", at=now,
                public={"party": str(author.party), "keeper": str(owner), "rule": basis.rule, "cameras": len(same)},
                private={
                    "person": str(author.person), "profile": author.profile, "decision": str(decision),
                    "cameras": [targets[hold.camera].code for hold in same],
                    "since": rfc3339(asked.since), "until": rfc3339(asked.until), "ends_at": rfc3339(asked.ends_at),
                    "basis": basis.code, "reason": same[0].reason, "case": same[0].case,
                    "renews": str(asked.renews) if asked.renews else None,
                },
            )
        )  # fmt: skip
    await append(connection, sealer, entries)
    return holds


async def end_hold(
    connection: Connection, sealer: Sealer, standing: Standing, author: Author, hold: HoldId, now: datetime
) -> Hold:
    """The hold ends now; what it kept past its term goes with the next pass.

    Records: `terms.hold_ended` (exchange log).

    Raises:
        NotFound: `hold_unknown`, also for another party's.
        NotAllowed: `hold_not_allowed`: this profile may not place such a hold either; the codes of
            `Standing.check_actor`: who was suspended lets nothing be deleted.
        Conflict: `hold_over`.
    """
    found = await store.find_hold(connection, hold, lock=True)
    if found is None or author.party is None or found.hold.owner != author.party:
        raise NotFound("hold_unknown")
    if found.hold.basis not in {each.code for each in bases_of(standing, author, now)}:
        raise NotAllowed("hold_not_allowed", basis=found.hold.basis)
    if not found.hold.stands(now):
        raise Conflict("hold_over")
    standing.check_author(author, now)
    assert author.person is not None
    await store.end_hold(connection, hold, author.person, now)
    entry = Entry(
        log=Log.EXCHANGE, kind="terms.hold_ended", at=now,
        public={"party": str(author.party), "keeper": str(found.camera_owner), "rule": found.hold.rule},
        private={"person": str(author.person), "profile": author.profile, "hold": str(hold), "camera": found.code},
    )  # fmt: skip
    await append(connection, sealer, [entry])
    return msgspec.structs.replace(found.hold, ended_at=now)


async def list_holds(
    connection: Connection, party: PartyId | None, now: datetime, *, over: bool = False
) -> Sequence[store.Held]:
    """Holds that stand (or are over): those of the party and those on its cameras; all for None."""
    return await store.list_holds(connection, party, now, over=over)


async def set_own_term(
    connection: Connection,
    sealer: Sealer,
    standing: Standing,
    author: Author,
    camera: CameraId,
    days: int | None,
    now: datetime,
) -> None:
    """The owner keeps recordings of its camera so many days; None: as long as the law allows.

    Records: `terms.own_term_set` (register log).

    Raises:
        NotAllowed: `camera_managers_only`; the codes of `Standing.check_actor`: who was suspended lets nothing be
            deleted.
        NotFound: `camera_unknown`, also for another party's.
        Invalid: `own_term`: less than a day, or longer than the law allows now.
    """  # fmt: skip
    if author.profile != "camera_manager":
        raise NotAllowed("camera_managers_only")
    kept = {each.camera: each for each in await due.list_kept(connection, author.party)}.get(camera)
    if kept is None or author.party is None:
        raise NotFound("camera_unknown")
    standing.check_author(author, now)
    most = kept.limits(regimes_of(standing), now)[-1].days
    if days is not None and not 1 <= days <= most:
        raise Invalid("own_term", least=1, most=most)
    await due.take_turn(connection)
    await store.set_own_term(connection, camera, days, author.person, now)
    entry = Entry(
        log=Log.REGISTER, kind="terms.own_term_set", at=now,
        public={"party": str(author.party), "camera": kept.public_code, "days": days, "maximum_days": most},
    )  # fmt: skip
    await append(connection, sealer, [entry])
