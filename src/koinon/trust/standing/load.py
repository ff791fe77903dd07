"""Reading the standing out of the database, in one snapshot."""

from koinon.base.database import Connection
from koinon.base.errors import NotAllowed
from koinon.trust.agreements import load_agreements
from koinon.trust.parties import load_register
from koinon.trust.rules import load_rules
from koinon.trust.standing.acts import Chain
from koinon.trust.standing.acts.service import load_chain
from koinon.trust.standing.epoch import get_epoch
from koinon.trust.standing.state import Standing


class StandingLoader:
    """Loads standings one after another; what was verified once is not verified again.

    `demo` says whether keys of the demo region may sign; production refuses a chain that holds one.
    """

    def __init__(self, *, demo: bool = True) -> None:
        self._chain: Chain | None = None
        self._demo = demo

    async def __call__(self, connection: Connection) -> Standing:
        """The standing of this moment.

        One repeatable-read snapshot: the epoch and all that it stands for are of the same moment.

        Raises:
            Unavailable: `genesis_missing`.
            NotAllowed: `demo_keys_in_production`.
            KoinonError: a chain of acts that does not verify; nothing is in force then.
        """
        async with connection.transaction(isolation="repeatable_read", readonly=True):
            epoch = await get_epoch(connection)
            chain = self._chain = await load_chain(connection, self._chain)
            if chain.state.demo and not self._demo:
                raise NotAllowed("demo_keys_in_production")
            register = await load_register(connection)
            agreements = await load_agreements(connection)
            rules = await load_rules(connection)
        counting = [
            each.rule
            for each in rules
            if chain.state.rule_authorised(each.digest, frozenset({each.rule.author}))
        ]
        return Standing(epoch=epoch, chain=chain, register=register, agreements=agreements, rules=counting)
