"""Options are parsed once, by name in any case; what can't be used is named with what is expected; secrets are never shown."""

from __future__ import annotations

import pickle
from functools import partial
from typing import Any

import pytest

from spark_dynamo.errors import ConfigurationError, OptionError
from spark_dynamo.source.explain import explain_read
from spark_dynamo.source.inference import infer_schema
from spark_dynamo.source.option_table import OPTIONS
from spark_dynamo.source.options import SourceOptions

SECRET = "s3cr3t-value"


def options(**given: str) -> SourceOptions:
    return SourceOptions({"table": "orders", **given})


def snake_case(name: str) -> str:
    return "".join(f"_{letter.lower()}" if letter.isupper() else letter for letter in name)


def test_defaults() -> None:
    parsed = options()
    for option in OPTIONS:
        if option.name != "table":
            assert getattr(parsed, snake_case(option.name)) == option.default
    assert set(vars(parsed)) == {snake_case(option.name) for option in OPTIONS}
    assert set(SourceOptions.__annotations__) == set(vars(parsed))


@pytest.mark.parametrize("option", OPTIONS, ids=lambda option: option.name)
def test_the_table_is_complete(option: Any) -> None:
    assert option.meaning
    assert option.shown_default
    assert option.name[0].islower()
    assert option.secret == (option.name in {"externalId", "accessKeyId", "secretAccessKey", "sessionToken"})


@pytest.mark.parametrize(
    ("name", "value", "parsed"),
    [
        ("region", " eu-central-1 ", "eu-central-1"),
        ("endpointUrl", "http://localhost:8000", "http://localhost:8000"),
        ("profile", "dev", "dev"),
        ("roleArn", "arn:aws:iam::1:role/r", "arn:aws:iam::1:role/r"),
        ("roleSessionName", "s", "s"),
        ("environment", "Prod", "prod"),
        ("tablePrefix", "", ""),
        ("numPartitions", "1", 1),
        ("numPartitions", " 10000 ", 10_000),
        ("segments", "1000000", 1_000_000),
        ("consistentRead", "TRUE", True),
        ("consistentRead", " false", False),
        ("nulls", "WRITE", "write"),
        ("duplicates", "last", "last"),
    ],
)
def test_values_and_names_in_any_case(name: str, value: str, parsed: Any) -> None:
    for spelled in (name, name.lower(), name.upper()):
        result = options(**{spelled: value})
        assert getattr(result, snake_case(name)) == parsed
        assert type(getattr(result, snake_case(name))) is type(parsed)


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("table", " ", "Option 'table' must not be empty, not ' '."),
        ("region", "", "Option 'region' must not be empty, not ''."),
        ("numPartitions", "0", "Option 'numPartitions' must be a whole number from 1 to 10,000, not '0'."),
        ("numPartitions", "10001", "Option 'numPartitions' must be a whole number from 1 to 10,000, not '10001'."),
        ("NUMPARTITIONS", "four", "Option 'numPartitions' must be a whole number from 1 to 10,000, not 'four'."),
        ("segments", "-1", "Option 'segments' must be a whole number from 1 to 1,000,000, not '-1'."),
        ("segments", "1.5", "Option 'segments' must be a whole number from 1 to 1,000,000, not '1.5'."),
        ("segments", "\u00b2", "Option 'segments' must be a whole number from 1 to 1,000,000, not '\u00b2'."),
        ("consistentRead", "yes", "Option 'consistentRead' must be true or false, not 'yes'."),
        ("nulls", "keep", "Option 'nulls' must be one of auto, omit, write, remove, not 'keep'."),
        ("duplicates", "any", "Option 'duplicates' must be one of error, last, first, not 'any'."),
        ("environment", "test", "Option 'environment' must be one of dev, staging, prod, not 'test'."),
    ],
)
def test_values_that_cannot_be_used(name: str, value: str, message: str) -> None:
    with pytest.raises(OptionError) as caught:
        options(**{name: value})
    assert str(caught.value) == message
    assert caught.value.option.lower() == name.lower()
    assert isinstance(caught.value, ConfigurationError | ValueError)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("tabel", "Option 'tabel' is not known. Did you mean 'table'?"),
        ("NumPartition", "Option 'NumPartition' is not known. Did you mean 'numPartitions'?"),
        ("endpoint_url", "Option 'endpoint_url' is not known. Did you mean 'endpointUrl'?"),
        ("duplicate", "Option 'duplicate' is not known. Did you mean 'duplicates'?"),
        ("zzz", "Option 'zzz' is not known."),
    ],
)
def test_unknown_names(name: str, message: str) -> None:
    with pytest.raises(OptionError) as caught:
        options(**{name: "x"})
    assert str(caught.value) == message


@pytest.mark.parametrize(
    ("given", "table"),
    [
        ({"path": "orders"}, "orders"),
        ({"PATH": " orders "}, "orders"),
        ({"path": "other", "table": "orders"}, "orders"),
        ({"TABLE": "arn:aws:dynamodb:eu-central-1:1:table/orders"}, "arn:aws:dynamodb:eu-central-1:1:table/orders"),
    ],
)
def test_the_table(given: dict[str, str], table: str) -> None:
    assert SourceOptions(given).table == table


@pytest.mark.parametrize("given", [{}, {"path": ""}, {"path": "  "}, {"region": "eu-central-1"}])
def test_a_missing_table(given: dict[str, str]) -> None:
    with pytest.raises(OptionError, match="^Option 'table' is missing; name the table, as in"):
        SourceOptions(given)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (
            {"accessKeyId": SECRET},
            "Option 'secretAccessKey' is missing; accessKeyId and secretAccessKey only work together.",
        ),
        (
            {"secretAccessKey": SECRET},
            "Option 'accessKeyId' is missing; accessKeyId and secretAccessKey only work together.",
        ),
        ({"sessionToken": SECRET}, "Option 'sessionToken' needs accessKeyId and secretAccessKey beside it."),
        ({"externalId": SECRET}, "Option 'externalId' needs roleArn beside it."),
        (
            {"segments": "3", "numPartitions": "4"},
            "Option 'segments' is 3, fewer than the 4 of numPartitions; each partition needs one.",
        ),
    ],
)
def test_contradictions(given: dict[str, str], message: str) -> None:
    with pytest.raises(OptionError) as caught:
        options(**given)
    assert str(caught.value) == message
    assert SECRET not in repr(caught.value)


@pytest.mark.parametrize("ask", [partial(explain_read, schema="id STRING"), infer_schema])
def test_a_table_that_is_no_text_is_named(ask: Any) -> None:
    with pytest.raises(OptionError, match="Option 'table' is text, not a Session"):
        ask(type("Session", (), {})())


def test_secrets_are_never_shown() -> None:
    names = [option.name for option in OPTIONS if option.secret]
    parsed = options(roleArn="arn", **dict.fromkeys(names, SECRET))
    assert SECRET not in repr(parsed)
    assert SECRET not in str(parsed)
    assert [getattr(parsed, snake_case(name)) for name in names] == [SECRET] * len(names)
    assert repr(parsed).count("'***'") == len(names)
    for name in names:
        with pytest.raises(OptionError) as caught:
            options(**{name: " "})
        assert str(caught.value) == f"Option '{name}' must not be empty."


def test_equal_segments_and_partitions_are_fine() -> None:
    assert options(segments="4", numPartitions="4").segments == 4


def test_options_survive_pickling() -> None:
    parsed = options(segments="4", accessKeyId="a", secretAccessKey="b")
    assert vars(pickle.loads(pickle.dumps(parsed))) == vars(parsed)
