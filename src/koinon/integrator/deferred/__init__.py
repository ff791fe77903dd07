"""Deferred mode: many questions in one file, answered chunk by chunk under the same rules as one."""

from koinon.integrator.deferred.bulk import ADMISSION_INPUTS, BulkInput, BulkSource, FolderSource, SqlSource
from koinon.integrator.deferred.computing import Bulk, Computation, Interactive
from koinon.integrator.deferred.model import (
    PIECE_BYTES,
    BatchRequest,
    BatchState,
    BatchView,
    RecordStatus,
    ResultFile,
)
from koinon.integrator.deferred.policy import question_type, record_key, result_type, result_types
from koinon.integrator.deferred.running import Runner
from koinon.integrator.deferred.sealed import SealedObjects
from koinon.integrator.deferred.service import Deferred, forget
from koinon.integrator.deferred.store import list_terms

__all__ = [
    "ADMISSION_INPUTS",
    "PIECE_BYTES",
    "BatchRequest",
    "BatchState",
    "BatchView",
    "Bulk",
    "BulkInput",
    "BulkSource",
    "Computation",
    "Deferred",
    "FolderSource",
    "Interactive",
    "RecordStatus",
    "ResultFile",
    "Runner",
    "SealedObjects",
    "SqlSource",
    "forget",
    "list_terms",
    "question_type",
    "record_key",
    "result_type",
    "result_types",
]
