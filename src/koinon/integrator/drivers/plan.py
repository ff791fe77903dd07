"""A plan: which sources are asked about whom, in which order; and the one way to carry it out.

Steps follow one another because a later one needs to know the subjects that an earlier one found; the
requests of a step go out together.
"""

import asyncio
import time
from collections.abc import Callable, Iterable, Mapping, Sequence

import msgspec
import structlog

from koinon.base.errors import KoinonError
from koinon.integrator.drivers.driver import Context, Source, SourceAnswer
from koinon.integrator.drivers.kept import Keeping

_log = structlog.get_logger()
_GRACE_SECONDS = 0.25  # a driver's own deadline comes first


class Request(msgspec.Struct, frozen=True):
    """Fields of a resource (`source/service`), about the subject of the exchange or about those found so
    far.
    """

    resource: str
    fields: frozenset[str]
    about: str = "subject"


class Plan(msgspec.Struct, frozen=True):
    """Requests by step.

    Attributes:
        find: gives the subjects that `Request.about` names besides `subject`, from the answers so far.
    """

    steps: tuple[tuple[Request, ...], ...]
    find: Callable[[str, str, Sequence[SourceAnswer]], Sequence[str]]

    @property
    def resources(self) -> Mapping[str, frozenset[str]]:
        """All that may be fetched: fields by resource. What the authorisation must cover."""
        return {request.resource: request.fields for step in self.steps for request in step}


async def gather(
    plan: Plan,
    subject: str,
    sources: Mapping[str, Source],
    context: Context,
    allowed: Callable[[str], frozenset[str]] | None = None,
    keeping: Keeping | None = None,
) -> list[SourceAnswer]:
    """All answers of the plan.

    Nothing is asked beyond `allowed(resource)`: a resource of which no asked field is allowed, or whose
    source is not connected, is answered here (`not_allowed`, `no_answer`) for each of its subjects. With `keeping`, an
    answer that a rule let be kept serves again; about the others the source is asked.
    """
    answers: list[SourceAnswer] = []
    for step in plan.steps:
        pending = []
        for request in step:
            subjects: Sequence[str] = (
                (subject,) if request.about == "subject" else plan.find(request.about, subject, answers)
            )
            if not subjects:
                continue
            fields = request.fields if allowed is None else request.fields & allowed(request.resource)
            source, _, service = request.resource.partition("/")
            if not fields:
                answers.extend(_unasked(source, service, subjects, "not_allowed", None))
            elif source not in sources:
                answers.extend(_unasked(source, service, subjects, "no_answer", "unreachable"))
            else:
                pending.append(
                    _find_or_ask(sources[source], source, service, subjects, fields, context, keeping)
                )
        if len(pending) == 1:
            answers.extend(await pending[0])
        else:
            for found in await asyncio.gather(*pending):
                answers.extend(found)
    return answers


async def _find_or_ask(
    asked: Source,
    source: str,
    service: str,
    subjects: Sequence[str],
    fields: frozenset[str],
    context: Context,
    keeping: Keeping | None,
) -> Sequence[SourceAnswer]:
    """One answer a subject: its copy where there is one that may serve, else what the source says."""
    if keeping is None:
        return await _ask(asked, source, service, subjects, fields, context)
    kept, asking = keeping
    generation = kept.generation
    known = kept.find(asking, source, service, subjects, fields)
    missing = [subject for subject in subjects if subject not in known]
    if not missing:
        return tuple(known[subject] for subject in subjects)
    answers = await _ask(asked, source, service, missing, fields, context)
    kept.keep(asking, fields, answers, generation)
    known |= {answer.subject: answer for answer in answers}
    return tuple(known[subject] for subject in subjects)


async def _ask(
    asked: Source,
    source: str,
    service: str,
    subjects: Sequence[str],
    fields: frozenset[str],
    context: Context,
) -> Sequence[SourceAnswer]:
    """What the source says, held to the port whoever wrote it: in time, one answer a subject, no field unasked.

    Drivers built on `Driver` keep to this themselves; one that does not is `no_answer`.
    """
    fault = "garbage"
    try:
        async with asyncio.timeout(max(0.0, context.deadline - time.monotonic()) + _GRACE_SECONDS):
            found = await asked.fetch_many(service, subjects, fields, context)
        if [each.subject for each in found] == list(subjects) and all(
            each.values.keys() <= fields for each in found
        ):
            return found
        _log.error("source_breaks_the_port", source=source, service=service)
    except TimeoutError:
        fault = "timeout"
    except KoinonError:
        raise  # the caller's own mistake
    except Exception as error:
        # Its message may hold what the source said about a person.
        _log.error("source_failed", source=source, service=service, error=type(error).__name__)
    return tuple(_unasked(source, service, subjects, "no_answer", fault))


def _unasked(
    source: str, service: str, subjects: Sequence[str], status: str, fault: str | None
) -> Iterable[SourceAnswer]:
    for subject in subjects:
        if status == "not_allowed":
            yield SourceAnswer(source=source, service=service, subject=subject, status="not_allowed")
        else:
            yield SourceAnswer(
                source=source, service=service, subject=subject, status="no_answer", fault=fault
            )
