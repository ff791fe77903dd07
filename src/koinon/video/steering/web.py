"""What the portal needs of steering: it has no page of its own, its buttons stand on the live pages."""

from typing import Any

from koinon.video.steering.words import PROBLEMS

problems = PROBLEMS
handlers: list[Any] = []
