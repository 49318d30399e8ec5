"""Options are parsed once, by name in any case; what can't be used is named with what is expected; secrets are never shown."""

from __future__ import annotations

import pickle
import re
from functools import partial
from typing import Any

import pytest

from spark_dynamo.errors import ConfigurationError, OptionError
from spark_dynamo.source.options import other_names
from spark_dynamo.source.options.source_options import SourceOptions
from spark_dynamo.source.options.table import OPTIONS
from spark_dynamo.source.read.explain import explain_read
from spark_dynamo.source.read.inference import infer_schema

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
        ("retryTimeout", "inf", "Option 'retryTimeout' must be a number above 0, and finite, not 'inf'."),
        ("retryTimeout", "1e999", "Option 'retryTimeout' must be a number above 0, and finite, not '1e999'."),
        ("retryTimeout", "nan", "Option 'retryTimeout' must be a number above 0, not 'nan'."),
        (
            "region",
            "mars north",
            "Option 'region' must be the name of an AWS region, as in eu-central-1, not 'mars north'.",
        ),
        ("region", "-eu", "Option 'region' must be the name of an AWS region, as in eu-central-1, not '-eu'."),
        (
            "roleArn",
            "admin",
            "Option 'roleArn' must be the ARN of a role, as in arn:aws:iam::123456789012:role/reader, not 'admin'.",
        ),
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
    ("name", "instead"),
    [
        ("indexName", "use option 'index'."),
        ("INDEXNAME", "use option 'index'."),
        ("targetCapacity", "use option 'readRatio' for reads and 'writeRatio' for writes, a share"),
        ("update", "use option 'operation', one of put, insert, update, delete."),
        ("delete", "use option 'operation', one of put, insert, update, delete."),
        ("writeBatchSize", "leave it out; a write always sends as many items"),
        ("throughput", "use option 'maxReadUnits' for reads and 'maxWriteUnits' for writes"),
        ("hashKey", "use option 'partitionKey' beside 'createTable'; a table that exists has its own."),
        ("dynamodb.region", "use option 'region'."),
        ("dynamodb.throughput.read.percent", "use option 'readRatio'"),
        ("dynamodb.output.tableName", "use option 'table', or the load or save path."),
        ("inferSchema", "leave it out; the schema is inferred unless"),
        ("header", "leave it out; attributes have names of their own."),
        ("aws_access_key_id", "use option 'accessKeyId'."),
        ("KeyConditionExpression", "use option 'filter', a predicate in Spark's SQL."),
    ],
)
def test_names_of_elsewhere_lead_to_those_of_here(name: str, instead: str) -> None:
    with pytest.raises(OptionError) as caught:
        options(**{name: SECRET})
    assert str(caught.value).startswith(f"Option '{name}' is not known here; {instead}")
    assert SECRET not in repr(caught.value)


def test_what_is_named_in_place_of_another_name_is_there() -> None:
    known = {option.name for option in OPTIONS}
    assert not {name.lower() for name in known} & set(other_names._BY_NAME)
    assert sum(len(names.split()) for names in other_names._INSTEAD.values()) == len(other_names._BY_NAME)
    for sentence in other_names._INSTEAD:
        assert set(re.findall(r"'(\w+)'", sentence)) <= known, sentence


@pytest.mark.parametrize(
    ("value", "hint"),
    [
        ("update", " (what a write does with a row is option 'operation'), not 'update'."),
        ("Append", " (the save mode is given by .mode(...)), not 'Append'."),
        ("loose", ", not 'loose'."),
    ],
)
def test_a_mode_of_writing_leads_to_where_it_is_given(value: str, hint: str) -> None:
    with pytest.raises(OptionError) as caught:
        options(mode=value)
    assert str(caught.value) == f"Option 'mode' must be one of FAILFAST, PERMISSIVE, DROPMALFORMED{hint}"


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("conditionFailed", "ignore", "can't be 'ignore'; it is 'error' or 'skip', or a path. Write './ignore' for a"),
        ("badItems", "drop", "can't be 'drop', as no row is dropped without a trace; it is 'error', or a path. Write"),
        ("badItems", "rejects_2026", "can't be 'rejects_2026', as no row"),
        ("badItems", "C", "can't be 'C', as no row"),
    ],
)
def test_only_what_looks_like_a_path_is_one(name: str, value: str, message: str) -> None:
    with pytest.raises(OptionError) as caught:
        options(**{name: value})
    assert str(caught.value).startswith(f"Option '{name}' {message}")
    assert options(**{name: f"./{value}"}) is not None


@pytest.mark.parametrize("place", ["/data/bad", "./bad", "data/bad", "~/bad", "s3://lake", "dynamodb:bad", r"C:\\bad"])
def test_paths_of_all_kinds_are_places(place: str) -> None:
    assert options(badItems=place).bad_items == place


@pytest.mark.parametrize(
    ("given", "table"),
    [
        ({"path": "orders"}, "orders"),
        ({"PATH": " orders "}, "orders"),
        ({"path": "orders", "table": "orders"}, "orders"),
        ({"path": "file:/home/me/spark-warehouse/view", "table": "orders"}, "orders"),  # as CREATE TABLE ... USING does
        ({"path": "/spark-warehouse/view", "table": "orders"}, "orders"),
        ({"TABLE": "arn:aws:dynamodb:eu-central-1:1:table/orders"}, "arn:aws:dynamodb:eu-central-1:1:table/orders"),
    ],
)
def test_the_table(given: dict[str, str], table: str) -> None:
    assert SourceOptions(given).table == table


@pytest.mark.parametrize("path", ["other", "ORDERS", "arn:aws:dynamodb:eu-central-1:1:table/other"])
def test_two_tables_are_one_too_many(path: str) -> None:
    with pytest.raises(OptionError) as caught:
        SourceOptions({"path": path, "table": "orders"})
    assert str(caught.value) == (
        f"Option 'table' is 'orders', and the path that is loaded or saved '{path}'; leave out one of the two."
    )


def test_several_paths_are_no_table() -> None:
    with pytest.raises(OptionError) as caught:
        SourceOptions({"paths": '["a","b"]'})
    assert str(caught.value) == 'Option \'path\' must be one table, not ["a","b"]; load each by itself and unite them.'


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
    parsed = options(roleArn="arn:aws:iam::1:role/r", **dict.fromkeys(names, SECRET))
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
