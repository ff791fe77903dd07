"""Cameras whose recordings stay with their owner: what it says to hold, asking for a stretch, fetching it once.

What was fetched is units and gaps of `koinon.video.recordings`, the copy `FETCHED`, and is looked at, exported, masked
and deleted as any other.

Its command line needs no web framework, so this door gives nothing: who runs it enters by `service` (`Asks`),
`sources`, `fetching` and `jobs`.
"""
