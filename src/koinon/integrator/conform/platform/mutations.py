"""Who listens hears once and not ahead; who keeps no source says nothing for it."""

from typing import Any

import msgspec

from koinon.integrator.conform.model import Cases, NotApplicable, demand
from koinon.integrator.conform.platform.kit import MUTATIONS, PlatformKit
from koinon.integrator.conform.speaking import refused

case = Cases("platform")


def _subscribe(kit: PlatformKit) -> dict[str, Any]:
    """The subscription for the flow and purpose of the question."""
    asked = kit.question
    request = {
        "flow": asked.flow, "purpose": asked.purpose, "case": asked.case, "authorisation": asked.authorisation,
    }  # fmt: skip
    body = msgspec.json.encode({name: value for name, value in request.items() if value is not None})
    reply = kit.speaker.say(f"{MUTATIONS}/subscriptions", body)
    if reply.status in (403, 404):
        raise NotApplicable(f"no subscription here: {reply.said}")
    demand(reply.status == 200, f"the subscription was answered {reply.said}")
    kit.speaker.verify(reply)
    found = reply.document.get("subscription")
    demand(isinstance(found, dict) and found.get("id"), "the answer names no subscription")
    return {"new": reply.document.get("new"), **found} if isinstance(found, dict) else {}


def _unsubscribe(kit: PlatformKit, subscription: dict[str, Any]) -> None:
    if subscription["new"]:
        kit.speaker.say(f"{MUTATIONS}/subscriptions/{subscription['id']}/end")


@case("P-MUT-01", "A system that subscribes again has one subscription", "design/mutations.md")
def _one_subscription(kit: PlatformKit) -> None:
    first = _subscribe(kit)
    try:
        again = _subscribe(kit)
        demand(again["id"] == first["id"] and again["new"] is False, "it has two")
    finally:
        _unsubscribe(kit, first)


@case("P-MUT-02", "Nobody reads or acknowledges ahead of what there is", "design/mutations.md")
def _nothing_ahead(kit: PlatformKit) -> None:
    subscription = _subscribe(kit)
    path = f"{MUTATIONS}/subscriptions/{subscription['id']}"
    try:
        ahead = int(subscription["last"]) + 1_000_000
        refused(kit.speaker.say(f"{path}/after/{ahead}", method="GET"), 400, "cursor_ahead")
        body = msgspec.json.encode({"until": ahead})
        refused(kit.speaker.say(f"{path}/acknowledge", body), 400, "acknowledged_ahead")
    finally:
        _unsubscribe(kit, subscription)


@case("P-MUT-03", "Who does not keep a source publishes nothing for it", "design/mutations.md")
def _not_keeper(kit: PlatformKit) -> None:
    nothing = {"source": "rijksregister", "mutations": [{"sequence": 1, "kind": "void"}]}
    reply = kit.speaker.say(f"{MUTATIONS}/publications", msgspec.json.encode(nothing))
    if reply.status == 404:
        raise NotApplicable(f"no such source here: {reply.said}")
    refused(reply, 403, "not_keeper")
