"""Pages of the register and of signing in. The application takes `handlers`, `navigation` and `problems`."""

from koinon.trust.parties.web.me import change_my_charter, leave_everywhere, show_me
from koinon.trust.parties.web.parties import change_party, register_party, show_parties, show_party
from koinon.trust.parties.web.sign_in import (
    choose_profile,
    come_back_from_provider,
    go_to_provider,
    show_choices,
    show_sign_in,
    sign_in_locally,
    sign_out,
)
from koinon.trust.parties.web.words import navigation, problems

handlers = [
    show_sign_in,
    sign_in_locally,
    go_to_provider,
    come_back_from_provider,
    show_choices,
    choose_profile,
    sign_out,
    show_me,
    change_my_charter,
    leave_everywhere,
    show_parties,
    register_party,
    show_party,
    change_party,
]

__all__ = ["handlers", "navigation", "problems"]
