"""Which recorder records what: a fair share each, the two copies of a camera in two processes. Pure.

Every recorder judges for itself over the same leases, so they agree without talking: what nobody holds is taken by
those below their share; who is above it gives to who is below.
"""

import hashlib
from collections.abc import Collection, Mapping

import msgspec

from koinon.video.recordings.model import RecorderId, Track


class Plan(msgspec.Struct, frozen=True):
    """What a recorder does now: ask for the leases of `take`, at most `limit` of them; hand over `release`."""

    take: tuple[Track, ...]
    limit: int
    release: tuple[Track, ...]


def plan(
    tracks: Collection[Track],
    holders: Mapping[Track, RecorderId],
    able: Collection[RecorderId],
    me: RecorderId,
    *,
    overdue: Collection[Track] = (),
) -> Plan:
    """What `me` does.

    Args:
        tracks: all that is to be recorded.
        holders: whose lease it is now, where it is somebody's.
        able: the recorders that live and have a disk to write to.
        overdue: what nobody has held for so long that shares do not matter.
    """
    mine = {track for track in tracks if holders.get(track) == me}
    if me not in able:
        # Without a disk: others record it, if there are any.
        return Plan((), 0, tuple(sorted(mine)) if able else ())
    share = -(-len(tracks) // len(able))
    mine_by_stream = {track.stream for track in mine}
    free = [track for track in tracks if track not in holders and track.stream not in mine_by_stream]
    # Each in an order of its own, so that two that look at the same moment ask for different ones.
    free.sort(key=lambda track: _order(track, me))
    wanted: list[Track] = []
    streams: set[int] = set()
    for track in sorted(free, key=lambda track: track not in overdue):
        if track.stream not in streams:  # never both copies of one
            streams.add(track.stream)
            wanted.append(track)
    late = sum(track in overdue for track in wanted)
    limit = max(share - len(mine), late, 0)
    return Plan(tuple(wanted), min(limit, len(wanted)), _surplus(tracks, holders, able, me, mine))


def _surplus(
    tracks: Collection[Track],
    holders: Mapping[Track, RecorderId],
    able: Collection[RecorderId],
    me: RecorderId,
    mine: Collection[Track],
) -> tuple[Track, ...]:
    """What is given away: only what somebody else has room for and may hold."""
    held: dict[RecorderId, set[int]] = {each: set() for each in able}
    counts = dict.fromkeys(able, 0)
    for track in tracks:
        if (holder := holders.get(track)) in counts:
            counts[holder] += 1
            held[holder].add(track.stream)
    # As it will be: what nobody holds goes to the emptiest; then the fullest gives to the emptiest, one at a time,
    # until they differ by one at most. All reckon alike.
    for _ in range(sum(1 for track in tracks if track not in holders)):
        counts[min(counts, key=lambda each: (counts[each], each.bytes))] += 1
    most = 0
    receivers: set[RecorderId] = set()
    while True:
        fullest = max(counts, key=lambda each: (counts[each], each.bytes))
        emptiest = min(counts, key=lambda each: (counts[each], each.bytes))
        if counts[fullest] - counts[emptiest] < 2:
            break
        counts[fullest] -= 1
        counts[emptiest] += 1
        receivers.add(emptiest)
        most += fullest == me
    given: list[Track] = []
    for track in sorted(mine, key=lambda track: _order(track, me), reverse=True):
        if len(given) >= most:
            break
        if any(track.stream not in held[each] for each in receivers):
            given.append(track)
    return tuple(given)


def _order(track: Track, me: RecorderId) -> bytes:
    return hashlib.blake2b(f"{track.stream}/{track.copy}/{me}".encode(), digest_size=8).digest()
