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
    # Room is counted up to the share rounded down: two recorders that differ by one are even.
    least = len(tracks) // len(able)
    room = {each: least - count for each, count in counts.items() if each != me and count < least}
    # What nobody holds fills it first. Then the fullest gives, one at a time; all reckon alike.
    open_ = sum(room.values()) - sum(1 for track in tracks if track not in holders)
    most = 0
    while open_ > 0:
        fullest = max(counts, key=lambda each: (counts[each], each.bytes))
        if counts[fullest] <= least:
            break
        counts[fullest] -= 1
        open_ -= 1
        most += fullest == me
    given: list[Track] = []
    for track in sorted(mine, key=lambda track: _order(track, me), reverse=True):
        if len(given) >= most:
            break
        if any(track.stream not in held[each] for each in room):
            given.append(track)
    return tuple(given)


def _order(track: Track, me: RecorderId) -> bytes:
    return hashlib.blake2b(f"{track.stream}/{track.copy}/{me}".encode(), digest_size=8).digest()
