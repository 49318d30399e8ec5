"""What it costs to open a table: `load()` to schema, and from there to the planned reader."""

from __future__ import annotations

import pickle
from collections import Counter

from pyspark.sql.types import StructType

from spark_dynamo.source.datasource import DynamoDataSource
from tests.conftest import Server
from tests.servers.faulty import FaultyServer, faulty_server


def operations(proxy: FaultyServer) -> dict[str, int]:
    return dict(Counter(operation for operation, _, _ in proxy.log))


def test_a_table_costs_one_description_and_the_sample(local_server: Server) -> None:
    table = local_server.create()
    local_server.put(table, *({"id": {"S": str(number)}, "n": {"N": "1"}} for number in range(40)))
    with faulty_server(local_server.endpoint) as proxy:
        options = {**local_server.options, "endpointUrl": proxy.endpoint, "path": table, "samplingSize": "4"}
        source = DynamoDataSource(options)
        schema = source.schema()
        assert operations(proxy)["DescribeTable"] == 1
        scanned = [request for operation, request, _ in proxy.log if operation == "Scan"]
        assert sum(request["Limit"] for request in scanned) <= 8  # two rounds at most, of what is still missing
        asked = len(proxy.log)
        pickle.loads(pickle.dumps(source)).reader(schema).partitions()  # as Spark hands it from process to process
        assert len(proxy.log) == asked


def test_a_given_schema_costs_one_description(local_server: Server) -> None:
    table = local_server.create()
    with faulty_server(local_server.endpoint) as proxy:
        source = DynamoDataSource({**local_server.options, "endpointUrl": proxy.endpoint, "path": table})
        source.reader(StructType().add("id", "string")).partitions()
        assert operations(proxy) == {"DescribeTable": 1}
