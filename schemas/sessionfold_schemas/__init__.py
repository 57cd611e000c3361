"""The contract between the SDK and the consumer: what a ``SessionUpdated`` event is.

``session_updated.avsc`` is the only place where a field exists; everything else in the project is
driven by it. Importing this package reads nothing; :func:`current` loads the contract once.
"""

from ._contract import (
    Contract,
    Field,
    FoldRule,
    ValueType,
    by_fingerprint,
    by_version,
    contract_of,
    current,
    published,
    try_contract,
)
from ._decode import decode, key_mismatch
from ._encode import encode, encoder, event_prefix, text_bytes
from ._environment import KAFKA_PREFIX, kafka_environment
from ._evolution import contract_findings
from ._values import (
    MAX_INT,
    MAX_ITEMS,
    MAX_SESSION_ID_BYTES,
    MAX_TIMESTAMP,
    MIN_INT,
    MIN_TIMESTAMP,
    items_problem,
    session_id_problem,
    text_problem,
)
from ._wire import HEADER_BYTES, MAGIC, MAX_RECORD_BYTES, fingerprint_of, frame, unframe
from .errors import (
    ContractError,
    InvalidEventError,
    InvalidRecordError,
    Reason,
    UnknownFingerprintError,
    unknown_fingerprint,
)

__all__ = [
    "HEADER_BYTES",
    "KAFKA_PREFIX",
    "MAGIC",
    "MAX_INT",
    "MAX_ITEMS",
    "MAX_RECORD_BYTES",
    "MAX_SESSION_ID_BYTES",
    "MAX_TIMESTAMP",
    "MIN_INT",
    "MIN_TIMESTAMP",
    "Contract",
    "ContractError",
    "Field",
    "FoldRule",
    "InvalidEventError",
    "InvalidRecordError",
    "Reason",
    "UnknownFingerprintError",
    "ValueType",
    "by_fingerprint",
    "by_version",
    "contract_findings",
    "contract_of",
    "current",
    "decode",
    "encode",
    "encoder",
    "event_prefix",
    "fingerprint_of",
    "frame",
    "items_problem",
    "kafka_environment",
    "key_mismatch",
    "published",
    "session_id_problem",
    "text_bytes",
    "text_problem",
    "try_contract",
    "unframe",
    "unknown_fingerprint",
]
