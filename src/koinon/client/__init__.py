"""A client for systems that ask governed questions: it signs, retries safely, believes what it verified.

    pins = Path("koinon-platform.json")               # keys of the platform; compare them out of band once
    with Client("https://koinon.example", SigningKey.from_pem(pem, passphrase), pins) as client:
        answer = client.ask(flow="social-dwelling-admission", purpose="social-dwelling", case="2026-117",
                            subject={"national_number": number})
        client.verify_receipt(answer)

`AsyncClient` is the same with `await`.
"""

from koinon.client.clients import AsyncClient, Client
from koinon.client.conversation import Retries
from koinon.client.errors import PromiseBroken, Refused, StreamCut, Untrusted
from koinon.client.evidence import Evidence
from koinon.client.model import Answer, FieldAnswer, Receipt, VerifiedReceipt
from koinon.client.pins import Pins, discover
from koinon.client.streams import Row

__all__ = [
    "Answer",
    "AsyncClient",
    "Client",
    "Evidence",
    "FieldAnswer",
    "Pins",
    "PromiseBroken",
    "Receipt",
    "Refused",
    "Retries",
    "Row",
    "StreamCut",
    "Untrusted",
    "VerifiedReceipt",
    "discover",
]
