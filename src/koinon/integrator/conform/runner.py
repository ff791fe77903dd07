"""Runs cases one after another; none can stop the others."""

import time
from collections.abc import Callable, Sequence
from typing import Any

import koinon
from koinon.base.clock import SystemClock, rfc3339
from koinon.base.errors import Invalid
from koinon.integrator.conform.model import (
    Case,
    Failed,
    NotApplicable,
    Report,
    Result,
    Unknown,
    Verdict,
)


def run(
    cases: Sequence[Case],
    kit: Any,
    *,
    end: str,
    only: Sequence[str] = (),
    tell: Callable[[Result], None] = lambda result: None,
) -> Report:
    """Every case was tried; `tell` hears each result as it comes.

    `only` are ids, or their beginnings (`P-SIG`).

    Raises:
        Invalid: `case_unknown`.
    """
    chosen = [case for case in cases if not only or case.id.startswith(tuple(only))]
    if unknown := [word for word in only if not any(case.id.startswith(word) for case in cases)]:
        raise Invalid("case_unknown", case=unknown[0][:40])
    at = rfc3339(SystemClock().now())
    results = []
    for case in chosen:
        result = _try(case, kit)
        tell(result)
        results.append(result)
    return Report(target=cases[0].target, end=end, at=at, version=koinon.__version__, results=tuple(results))


def _try(case: Case, kit: Any) -> Result:
    began = time.monotonic()
    verdict, seen = Verdict.PASS, ""
    try:
        case.check(kit)
    except Failed as failed:
        verdict, seen = Verdict.FAIL, str(failed)
    except NotApplicable as why:
        verdict, seen = Verdict.NOT_APPLICABLE, str(why)
    except Unknown as why:
        verdict, seen = Verdict.UNKNOWN, str(why)
    except Exception as error:
        # Of the kit, or of an end that answers as nobody foresaw: neither is a pass.
        verdict, seen = Verdict.UNKNOWN, f"{type(error).__name__}: {error}"[:300]
    return Result(
        id=case.id,
        purpose=case.purpose,
        basis=case.basis,
        verdict=verdict,
        seen=seen,
        milliseconds=round((time.monotonic() - began) * 1000),
    )
