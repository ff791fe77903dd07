"""Exports: recordings that leave as a file, with whom and why burned in, and papers that anybody can check."""

from koinon.video.exports.jobs import make_handlers, sweep_handlers
from koinon.video.exports.making import Maker
from koinon.video.exports.model import Export, ExportId, ExportRequest, ExportView, Form, State
from koinon.video.exports.service import Exports
from koinon.video.exports.shelf import Shelf, open_shelf
from koinon.video.exports.verifying import Verified, verify_package

__all__ = [
    "Export",
    "ExportId",
    "ExportRequest",
    "ExportView",
    "Exports",
    "Form",
    "Maker",
    "Shelf",
    "State",
    "Verified",
    "make_handlers",
    "open_shelf",
    "sweep_handlers",
    "verify_package",
]
