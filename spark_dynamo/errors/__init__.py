"""Every error that this package raises on purpose.

.. code-block:: text

    DynamoDBWrapperError
    ├── ConfigurationError           a configuration value that can't be used (also a ValueError)
    │   ├── LocalTimeError           a time that its zone's clocks skip, or show twice
    │   └── OptionError              an option of the data source: unknown, malformed or contradictory
    ├── ConnectionError              the server can't be reached or doesn't answer
    │   └── RequestFailedError       DynamoDB refused a request, or retries came to their end
    │       ├── AccessDeniedError    credentials are missing, expired or lack a permission
    │       ├── ConditionFailedError rows that were not written because their condition was not met
    │       ├── InvalidResponseError an answer that is no valid DynamoDB JSON
    │       ├── ItemAlreadyExistsError an item was to be created, and there is one with its key
    │       ├── TableNotFoundError   there is no such table or index
    │       ├── UnwrittenItemsError  items that DynamoDB did not take within the retry budget
    │       └── VersionConflictError somebody else has changed the item since it was read
    ├── OverwriteConflictError       somebody else wrote to a table while it was overwritten
    ├── ItemNotFoundError            there is no item with that key (also a LookupError)
    ├── ValidationError              values that a model refuses, listed per field (also a ValueError)
    ├── MigrationError               an item that can't be brought to its model's version
    │   └── NewerVersionError        it is of a version that this code doesn't know yet
    ├── SchemaError                  a schema or type that has no DynamoDB form (also a TypeError)
    │   └── SchemaMismatchError      a frame whose schema is not the one that its model asks for
    └── ItemError                    one item that doesn't fit (also a ValueError)
        ├── MalformedItemError       an item read that doesn't fit the schema
        ├── InvalidItemError         a row that DynamoDB can't take
        └── DuplicateKeyError        two rows of one write with the same key

Constructors take facts and write the sentence. All of them survive pickling, so that they cross Spark's process
borders whole.
"""

from __future__ import annotations

from spark_dynamo.errors.base import DynamoDBWrapperError
from spark_dynamo.errors.configuration import ConfigurationError, LocalTimeError, OptionError
from spark_dynamo.errors.items import (
    DuplicateKeyError,
    InvalidItemError,
    ItemError,
    ItemNotFoundError,
    MalformedItemError,
)
from spark_dynamo.errors.models import (
    MigrationError,
    NewerVersionError,
    SchemaError,
    SchemaMismatchError,
    ValidationError,
)
from spark_dynamo.errors.requests import (
    AccessDeniedError,
    ConditionFailedError,
    ConnectionError,
    InvalidResponseError,
    ItemAlreadyExistsError,
    OverwriteConflictError,
    RequestFailedError,
    TableNotFoundError,
    UnwrittenItemsError,
    VersionConflictError,
)
from spark_dynamo.errors.texts import nearest as nearest
from spark_dynamo.errors.texts import shorten as shorten
from spark_dynamo.errors.texts import show_key as show_key

__all__ = [
    "AccessDeniedError",
    "ConditionFailedError",
    "ConfigurationError",
    "ConnectionError",
    "DuplicateKeyError",
    "DynamoDBWrapperError",
    "InvalidItemError",
    "InvalidResponseError",
    "ItemAlreadyExistsError",
    "ItemError",
    "ItemNotFoundError",
    "LocalTimeError",
    "MalformedItemError",
    "MigrationError",
    "NewerVersionError",
    "OptionError",
    "OverwriteConflictError",
    "RequestFailedError",
    "SchemaError",
    "SchemaMismatchError",
    "TableNotFoundError",
    "UnwrittenItemsError",
    "ValidationError",
    "VersionConflictError",
]

for _name in __all__:  # tracebacks and pickles name what people import, whichever module it lives in
    globals()[_name].__module__ = __name__
