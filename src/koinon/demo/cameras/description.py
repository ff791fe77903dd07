"""How a virtual camera describes itself (SDP, RFC 4566)."""

import base64
from typing import Final

from koinon.demo.cameras.clip import Clip

PAYLOAD_TYPE: Final = 96

HEAD: Final = (
    "v=0\r\no=- 0 0 IN IP4 127.0.0.1\r\ns=virtual camera\r\nc=IN IP4 0.0.0.0\r\nt=0 0\r\na=control:*\r\n"
)
SOUND: Final = {
    "": "",
    "PCMU": "m=audio 0 RTP/AVP 0\r\na=control:track2\r\n",
    "PCMA": "m=audio 0 RTP/AVP 8\r\na=control:track2\r\n",
    "AAC": "m=audio 0 RTP/AVP 97\r\na=rtpmap:97 MPEG4-GENERIC/16000/1\r\na=control:track2\r\n",
}


def describe(clip: Clip, rate: float = 25.0) -> str:
    """The session description of a camera that sends `clip`."""
    texts = [base64.b64encode(nal).decode() for nal in clip.sets]
    if clip.codec == "h264":
        profile = clip.sets[0][1:4].hex()
        about = f"H264/90000\r\na=fmtp:{PAYLOAD_TYPE} packetization-mode=1;profile-level-id={profile};"
        about += f"sprop-parameter-sets={','.join(texts)}"
    else:
        about = f"H265/90000\r\na=fmtp:{PAYLOAD_TYPE} sprop-vps={texts[0]};sprop-sps={texts[1]};sprop-pps={texts[2]}"
    return HEAD + (
        f"m=video 0 RTP/AVP {PAYLOAD_TYPE}\r\na=rtpmap:{PAYLOAD_TYPE} {about}\r\na=framerate:{rate:g}\r\n"
        "a=control:track1\r\n"
    )
