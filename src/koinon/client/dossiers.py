"""Files on persons, entered into a platform's reference directory: with proof that the party knows the person.

with Client(url, key, pins) as client:
    Dossiers(client).register(DossierRequest(purpose=..., case=..., national_number=..., family_name=...,
                                             birth_date=..., valid_from=..., valid_until=...))
"""

import msgspec

from koinon.client.clients import Client
from koinon.client.errors import Untrusted
from koinon.integrator.registration import DossierAnswer, DossierRequest

PATH = "/api/dossiers"


class Dossiers:
    """What a system of a party does with its files, over a `Client`."""

    def __init__(self, client: Client) -> None:
        self._client = client

    def register(self, request: DossierRequest) -> DossierAnswer:
        """The party has a file on the person, for the purpose and the period.

        Raises:
            Refused: `evidence_refused` (a person unknown to the register, or a proof that does not match), and the
                codes of the gate.
            Untrusted, Unavailable: as `Client.ask`.
        """
        said = self._client.run(self._client.conversation.call("POST", PATH, msgspec.json.encode(request)))
        try:
            return msgspec.json.decode(said, type=DossierAnswer)
        except (msgspec.DecodeError, UnicodeDecodeError):
            raise Untrusted("answer_malformed") from None
