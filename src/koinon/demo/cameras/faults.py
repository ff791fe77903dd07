"""What a virtual camera does wrong."""

import random

import msgspec


class Fault(msgspec.Struct):
    """How a camera misbehaves from now on; the defaults are a good camera. May be changed at any moment.

    Attributes:
        off: it answers 404.
        mute: it accepts the connection and never answers.
        silent: it plays and sends nothing, but answers.
        frozen: it neither sends nor answers, as when the cable is pulled.
        lose: share of the packets that are lost.
        corrupt: share of the bytes of the payloads that are wrong.
        burst_seconds: it holds back so much, then sends it all at once, over and over.
        prebuffer_pictures: so many pictures are sent at once when playing begins.
        stamp_rate: its timestamps run at this rate of the true one: 25 said and 21 sent is 25/21.
        stamp_offset: added to its timestamps, in ticks; changing it is a step of its clock.
        report_offset: seconds by which its own time of day is wrong.
        variant: it sends this one of its clips: another encoder setting.
        no_key_frames: it leaves key frames out.
        no_reports: it sends no RTCP.
        garbage: it sends bytes that are no RTSP, once.
        reorder: share of its datagrams that come after the next one.
        jpeg: it describes itself as a camera of JPEG pictures (RFC 2435).
    """

    off: bool = False
    mute: bool = False
    silent: bool = False
    frozen: bool = False
    lose: float = 0.0
    corrupt: float = 0.0
    burst_seconds: float = 0.0
    prebuffer_pictures: int = 0
    stamp_rate: float = 1.0
    stamp_offset: int = 0
    report_offset: float = 0.0
    variant: int = 0
    no_key_frames: bool = False
    no_reports: bool = False
    garbage: bool = False
    reorder: float = 0.0
    jpeg: bool = False

    def spoil(self, payload: bytes, chance: random.Random) -> bytes:
        """The payload with wrong bits in it, now and then in the header of its NAL."""
        wrong = bytearray(payload)
        for _ in range(max(1, round(len(wrong) * self.corrupt))):
            wrong[chance.randrange(len(wrong))] ^= 1 << chance.randrange(8)
        if chance.random() < 0.1:
            wrong[0] ^= 0x80  # forbidden_zero_bit
        return bytes(wrong)
