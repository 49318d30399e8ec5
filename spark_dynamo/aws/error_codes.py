"""Every error code that a client of DynamoDB can meet: whether it passes, and what to do about it.

These are the errors of DynamoDB's own model, those common to all of AWS, those of KMS that come through an encrypted table,
and those of STS that come where a role is assumed.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

LESS = "Raise the table's capacity, or lower the number of tasks"


@dataclass(frozen=True, slots=True)
class Meaning:
    """What a code means.

    `kind` is "throttled" and "server" for what passes when the same request is sent again later, "denied" for what
    credentials or permissions lack, "missing" where there is no such table, and "refused" for all else. `advice` is a sentence
    that says what to do, without its full stop. With `hushed` it stands for AWS's own words, which may quote the request.
    """

    kind: Literal["throttled", "server", "denied", "missing", "refused"]
    advice: str
    hushed: bool = False


def _many(codes: Iterable[str], meaning: Meaning) -> dict[str, Meaning]:
    return dict.fromkeys(codes, meaning)


_THROTTLED = {
    **_many(
        (
            "ProvisionedThroughputExceededException",
            "RequestThrottled",
            "RequestThrottledException",
            "SlowDown",
            "ThrottledException",
            "Throttling",
            "ThrottlingException",
            "TooManyRequestsException",
        ),
        Meaning("throttled", LESS),
    ),
    "RequestLimitExceeded": Meaning(
        "throttled", "The account's quota for this region is used up: lower the number of tasks, or ask AWS for more"
    ),
    "LimitExceededException": Meaning(
        "throttled",
        "Too many tables or indexes are being created, changed or deleted at once, or the account has as many as it may: "
        "wait until they are done, or ask AWS for more",
    ),
    "TransactionConflictException": Meaning(
        "throttled", "A transaction is under way on the same item: let fewer writers touch the same items at once"
    ),
    "TransactionInProgressException": Meaning(
        "throttled", "The same transaction is still under way: wait until it is done"
    ),
    "ReplicatedWriteConflictException": Meaning(
        "throttled", "Another region writes the same item: let one region write each item, or repeat the write later"
    ),
    "KMSThrottlingException": Meaning(
        "throttled", "KMS limits how often the table's key is used: lower the number of tasks, or ask AWS for more"
    ),
}
_SERVER = {
    **_many(
        (
            "500",
            "502",
            "503",
            "504",
            "InternalError",
            "InternalFailure",
            "InternalServerError",
            "InternalServerException",
            "KMSInternalException",
            "RequestAbortedException",
            "RequestTimeout",
            "RequestTimeoutException",
            "ServiceUnavailable",
            "ServiceUnavailableException",
        ),
        Meaning("server", "Try again later, and look at the AWS Health Dashboard if it lasts"),
    ),
}
_EXPIRED = Meaning(
    "denied", "The session token has expired. Renew it, or let a role or profile renew it by itself", hushed=True
)
_CLOCK = Meaning("denied", "This machine's clock is wrong, or the request took too long: set the clock by NTP")
_UNKNOWN_KEY = Meaning(
    "denied", "AWS doesn't know the access key. Check it, and that it belongs to this partition", hushed=True
)
_SIGNATURE = Meaning(
    "denied", "The signature doesn't match. Check the secret access key and this machine's clock", hushed=True
)
_UNREADABLE = Meaning(
    "denied", "AWS can't read the signature. Check the access key and the secret access key", hushed=True
)
_PERMISSION = Meaning("denied", "Add the permission it names to the role or user")
_DENIED = {
    **_many(("AccessDenied", "AccessDeniedException", "NotAuthorized", "UnauthorizedOperation"), _PERMISSION),
    **_many(("ExpiredToken", "ExpiredTokenException"), _EXPIRED),
    **_many(("RequestExpired", "RequestTimeTooSkewed", "RequestInTheFuture"), _CLOCK),
    **_many(("InvalidAccessKeyId", "InvalidClientTokenId"), _UNKNOWN_KEY),
    **_many(("InvalidSignatureException", "SignatureDoesNotMatch"), _SIGNATURE),
    **_many(("IncompleteSignature", "IncompleteSignatureException"), _UNREADABLE),
    **_many(
        ("MissingAuthenticationToken", "MissingAuthenticationTokenException"),
        Meaning("denied", "The request carries no credentials. Set a profile, a role or keys", hushed=True),
    ),
    **_many(
        ("AuthFailure", "UnrecognizedClientException"),
        Meaning("denied", "AWS doesn't know the access key or session token. Check both, and the region", hushed=True),
    ),
    **_many(
        ("OptInRequired", "SubscriptionRequiredException"),
        Meaning(
            "denied", "The account has not signed up for the service, or not for this region: opt in, or change region"
        ),
    ),
    "RegionDisabledException": Meaning("denied", "The account has switched STS off in this region: switch it on"),
    "InvalidIdentityToken": Meaning(
        "denied", "The web identity's token is not accepted: check the identity provider, and that the token is fresh"
    ),
    "InvalidContextAssertion": Meaning(
        "denied", "The context that the role's session is given is not accepted: renew its assertion, or leave it out"
    ),
    **_many(
        ("IDPCommunicationError", "IDPRejectedClaim"),
        Meaning("denied", "The identity provider refuses or does not answer: renew the token, and try again"),
    ),
    "KMSAccessDeniedException": Meaning(
        "denied", "Allow kms:Decrypt with the key that encrypts the table, in the key's policy and in the role's"
    ),
    **_many(
        ("KMSDisabledException", "KMSInvalidStateException"),
        Meaning("denied", "Enable the KMS key that encrypts the table, or cancel its deletion"),
    ),
    "KMSNotFoundException": Meaning("denied", "The table's KMS key is gone: restore it, or the table from a backup"),
    "KMSOptInRequired": Meaning("denied", "The account has not signed up for KMS in this region: opt in"),
    "KMSInvalidKeyUsageException": Meaning(
        "denied", "The table's KMS key is none for encryption: choose a symmetric one"
    ),
}
_MISSING = {"ResourceNotFoundException": Meaning("missing", "Check the name, the region and the endpoint")}
_BUSY = Meaning("refused", "The table is being created, changed or deleted: wait until it is ACTIVE")
_BACKUP = Meaning("refused", "Look the ARN up with list_backups, list_exports or list_imports of boto3's client")
_OUR_FAULT = Meaning("refused", "The request is malformed, which is a fault of the code that made it: please report it")
_REFUSED = {
    **_many(
        ("ValidationException", "ValidationError"),
        Meaning(
            "refused",
            "Correct what it names: a key, an expression, an attribute's type, or an item of more than 400 KB",
        ),
    ),
    **_many(
        ("ConditionalCheckFailedException", "ConditionalCheckFailed"),
        Meaning("refused", "The stored item is not as the condition asks: read it again, and decide anew"),
    ),
    **_many(
        ("DuplicateItemException", "DuplicateItem"),
        Meaning("refused", "There is an item with that key already: update it, or leave it"),
    ),
    "TransactionCanceledException": Meaning(
        "refused", "All of its writes were cancelled: correct those named, and repeat it"
    ),
    "IdempotentParameterMismatchException": Meaning(
        "refused", "The token was used for another transaction in the last ten minutes: use a new ClientRequestToken"
    ),
    "ItemCollectionSizeLimitExceededException": Meaning(
        "refused",
        "With a local index, the items of one partition key may have 10 GB in all: delete some, or choose another key",
    ),
    "ResourceInUseException": _BUSY,
    "TableInUseException": _BUSY,
    "TableAlreadyExistsException": Meaning("refused", "Choose another name, or delete that table first"),
    "TableNotFoundException": Meaning("refused", "Check the name and the region of the source table"),
    "IndexNotFoundException": Meaning("refused", "Check the index's name; describe_table lists them"),
    "GlobalTableAlreadyExistsException": Meaning("refused", "Use the global table there is, or choose another name"),
    "GlobalTableNotFoundException": Meaning("refused", "Check the global table's name and its regions"),
    "ReplicaAlreadyExistsException": Meaning("refused", "The region has a replica already: leave it out"),
    "ReplicaNotFoundException": Meaning("refused", "The region has no replica: check its name"),
    "BackupInUseException": Meaning("refused", "A backup or restore of the table is under way: wait until it is done"),
    "BackupNotFoundException": _BACKUP,
    "ExportNotFoundException": _BACKUP,
    "ImportNotFoundException": _BACKUP,
    **_many(
        ("ExportConflictException", "ImportConflictException"),
        Meaning("refused", "Another export or import uses the same token or bucket: wait, or use another"),
    ),
    **_many(
        ("ContinuousBackupsUnavailableException", "PointInTimeRecoveryUnavailableException"),
        Meaning("refused", "Enable point-in-time recovery of the table first"),
    ),
    **_many(
        ("InvalidExportTimeException", "InvalidRestoreTimeException"),
        Meaning("refused", "Choose a time within the table's recovery window"),
    ),
    "PolicyNotFoundException": Meaning(
        "refused", "The table has no resource policy, or not that revision: read it again"
    ),
    "InvalidEndpointException": Meaning("refused", "Check the endpoint and the region"),
    "UnknownOperationException": Meaning(
        "refused", "The server doesn't know the operation: check the endpoint, and the version of a local server"
    ),
    "RequestEntityTooLargeException": Meaning("refused", "A request may have 16 MB: send fewer items at once"),
    "MalformedPolicyDocument": Meaning("refused", "Correct the session policy of the role"),
    "PackedPolicyTooLarge": Meaning("refused", "Shorten the session policy or the tags of the role"),
    **_many(
        (
            "InvalidAction",
            "InvalidParameterCombination",
            "InvalidParameterValue",
            "InvalidQueryParameter",
            "MalformedHttpRequestException",
            "MalformedQueryString",
            "MissingAction",
            "MissingParameter",
            "SerializationException",
        ),
        _OUR_FAULT,
    ),
}
MEANINGS: Mapping[str, Meaning] = MappingProxyType({**_THROTTLED, **_SERVER, **_DENIED, **_MISSING, **_REFUSED})

# the codes of a cancelled transaction's single actions; they are other words than those of requests
CANCELLATIONS: Mapping[str, str] = MappingProxyType(
    {
        "AccessDenied": _PERMISSION.advice,
        "ConditionalCheckFailed": MEANINGS["ConditionalCheckFailed"].advice,
        "DuplicateItem": MEANINGS["DuplicateItem"].advice,
        "ItemCollectionSizeLimitExceeded": MEANINGS["ItemCollectionSizeLimitExceededException"].advice,
        "ProvisionedThroughputExceeded": LESS,
        "RequestLimitExceeded": MEANINGS["RequestLimitExceeded"].advice,
        "ThrottlingError": LESS,
        "TransactionConflict": MEANINGS["TransactionConflictException"].advice,
        "ValidationError": MEANINGS["ValidationError"].advice,
    }
)
_CLOCK_SAYS = ("Signature expired", "Signature not yet current")


# codes that AWS may add are told by the words that its codes are made of; the first that fits
_FAMILIES: tuple[tuple[re.Pattern[str], Meaning], ...] = tuple(
    (re.compile(words), meaning)
    for words, meaning in (
        ("Throttl|SlowDown|TooManyRequests|ThroughputExceeded|RequestLimitExceeded", MEANINGS["ThrottlingException"]),
        ("LimitExceeded|QuotaExceeded", Meaning("refused", "Stay below the limit that it names, or ask AWS for more")),
        ("Internal|Unavailable|Timeout", MEANINGS["InternalServerError"]),
        ("Expired", _EXPIRED),
        ("Signature", _SIGNATURE),
        (
            "Denied|NotAuthorized|Unauthorized|Forbidden|Credential|OptIn|Token|Assertion|Identity",
            Meaning("denied", "Check the credentials, the role and its permissions"),
        ),
        (
            "Conflict|InUse|InProgress",
            Meaning("refused", "Something else is at work on the same: wait until it is done"),
        ),
        ("AlreadyExists|Duplicate", Meaning("refused", "There is one already: use that, or choose another name")),
        (
            "NotFound|NoSuch",
            Meaning("refused", "What it names is not there: check the name, the region and the account"),
        ),
        ("Invalid|Malformed|Missing|Validation|Mismatch", Meaning("refused", "Correct what it names")),
    )
)
_REDIRECTED = Meaning(
    "refused",
    "Something on the way redirects requests: check the endpoint, and HTTPS_PROXY, then sign in where it asks to",
)
_NOT_DYNAMODB = Meaning(
    "refused", "A proxy or another server is in DynamoDB's place: check the endpoint, and HTTPS_PROXY and NO_PROXY"
)
_TOO_LARGE_FOR_PROXY = Meaning(
    "refused", "A proxy on the way takes no requests that large: let it take 16 MB, or go past it by NO_PROXY"
)
_FILLING = Meaning(
    "refused", "The index is still being filled: wait until describe_table says that it is ACTIVE, or read without it"
)
_UNHEARD_OF = Meaning("refused", "Look the code up in AWS's API reference of DynamoDB: it is a new one")


def meaning_of(code: str, said: str = "") -> Meaning:
    """What the code means, where AWS's own words are those; a code that nobody has told of means what its family does.

    >>> meaning_of("ThrottlingException").kind
    'throttled'
    >>> meaning_of("VectorIndexThrottlingException").kind
    'throttled'
    """
    meaning = MEANINGS.get(code)
    if meaning is _SIGNATURE and said.startswith(_CLOCK_SAYS):
        return _CLOCK
    if code == "ValidationException" and "backfilling" in said:
        return _FILLING
    if meaning is None and code.isdecimal():  # the status of an answer that names no error
        return _REDIRECTED if code.startswith("3") else _TOO_LARGE_FOR_PROXY if code == "413" else _NOT_DYNAMODB
    return meaning or next((meaning for words, meaning in _FAMILIES if words.search(code)), _UNHEARD_OF)
