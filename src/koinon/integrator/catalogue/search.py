"""Search in the catalogue: words in any of the three languages, or parts of codes. Pure, and needs no script."""

import unicodedata
from collections.abc import Iterator
from typing import Literal

import msgspec

from koinon.base.text import LANGUAGES, Text
from koinon.integrator.catalogue.model import Catalogue

Part = Literal["source", "service", "flow", "field", "term"]
LONGEST_QUERY = 100


class Found(msgspec.Struct, frozen=True, kw_only=True):
    """Something whose words or code hold all words of the query.

    Attributes:
        address: of its page.
        code: as rules and questions write it.
        within: what it belongs to, in words.
    """

    part: Part
    code: str
    address: str
    title: Text
    within: Text | None = None


def fold(text: str) -> str:
    """The text without case and accents, so that `menage` finds `ménage`."""
    spread = unicodedata.normalize("NFKD", text.casefold())
    return "".join(each for each in spread if not unicodedata.combining(each)).replace("’", "'")


def search(catalogue: Catalogue, query: str) -> list[Found]:
    """What holds every word of the query, whole words and beginnings first; nothing for an empty query."""
    words = fold(query[:LONGEST_QUERY]).split()
    if not words:
        return []
    ranked: list[tuple[int, int, Found]] = []
    for each in every(catalogue):
        text = _words_of(each)
        if all(word in text for word in words):
            starts = sum(1 for word in words if any(part.startswith(word) for part in text.split()))
            ranked.append((-starts, len(ranked), each))
    return [each for _, _, each in sorted(ranked, key=lambda one: one[:2])]


def every(catalogue: Catalogue) -> Iterator[Found]:
    """All that has a page: sources, services, flows, fields, terms."""
    for name, source in catalogue.sources.items():
        yield Found(part="source", code=name, address=f"/catalogue/sources/{name}", title=source.title)
        for service, what in source.services.items():
            yield Found(
                part="service",
                code=f"{name}/{service}",
                address=f"/catalogue/services/{name}/{service}",
                title=what.title,
                within=source.title,
            )
    for name, flow in catalogue.flows.items():
        yield Found(part="flow", code=f"flow/{name}", address=f"/catalogue/flows/{name}", title=flow.title)
    titles = {f"flow/{name}": flow.title for name, flow in catalogue.flows.items()} | {
        f"{name}/{service}": Text(*(f"{source.title.in_(one)}: {what.title.in_(one)}" for one in LANGUAGES))
        for name, source in catalogue.sources.items()
        for service, what in source.services.items()
    }
    for resource, fields in catalogue.resources():
        for field, described in fields.items():
            yield Found(
                part="field",
                code=f"{resource}/{field}",
                address=f"/catalogue/fields/{resource}/{field}",
                title=described.label,
                within=titles[resource],
            )
    for name, term in catalogue.terms.items():
        yield Found(part="term", code=name, address=f"/catalogue/terms/{name}", title=term.label)


def _words_of(found: Found) -> str:
    words = [found.code, *(found.title.in_(language) for language in LANGUAGES)]
    if found.within is not None:
        words += [found.within.in_(language) for language in LANGUAGES]
    return fold(" ".join(words).replace("/", " / ").replace("_", " ").replace("-", " ") + " " + found.code)
