"""Names of options elsewhere, and what to do here: the connectors of EMR, AudienceProject and Glue, AWS's SDKs, and Spark's own.

They are hints of errors and nothing more: such a name is unknown here, as any other is.
"""

from __future__ import annotations

from collections.abc import Mapping

# what to do here -> the names, between spaces
_INSTEAD: Mapping[str, str] = {
    "use option 'table', or the load or save path": "tableName dbtable dynamodb.table.name dynamodb.input.tableName "
    "dynamodb.output.tableName dynamodb.tableArn tableArn",
    "use option 'index'": "indexName secondaryIndex globalSecondaryIndex gsi",
    "use option 'region'": "dynamodb.region dynamodb.regionid regionName region_name awsRegion aws_region",
    "use option 'endpointUrl'": "dynamodb.endpoint endpoint endpointOverride serviceEndpoint url",
    "use option 'profile'": "profileName profile_name awsProfile",
    "use option 'roleArn'": "dynamodb.sts.roleArn assumeRole assumeRoleArn",
    "use option 'roleSessionName'": "dynamodb.sts.roleSessionName",
    "use option 'region', which is the assumed role's, too": "dynamodb.sts.region",
    "use option 'accessKeyId'": "dynamodb.awsAccessKeyId awsAccessKeyId aws_access_key_id accessKey",
    "use option 'secretAccessKey'": "dynamodb.awsSecretAccessKey awsSecretAccessKey aws_secret_access_key secretKey",
    "use option 'sessionToken'": "dynamodb.awsSessionToken awsSessionToken aws_session_token",
    "credentials come from AWS's chain, from option 'profile' or 'roleArn', or from 'accessKeyId' and 'secretAccessKey'": (
        "providerClassName credentialsProvider dynamodb.customAWSCredentialsProvider"
    ),
    "use option 'readRatio', a share of the table's throughput as in 0.25": "dynamodb.throughput.read.percent",
    "use option 'writeRatio', a share of the table's throughput as in 0.25": "dynamodb.throughput.write.percent",
    "use option 'readRatio' for reads and 'writeRatio' for writes, a share of the table's throughput as in 0.25": (
        "targetCapacity"
    ),
    "use option 'maxReadUnits', in read units per second for the whole job": "dynamodb.throughput.read",
    "leave it out; read units count as DynamoDB tells them": "bytesPerRCU",
    "use option 'maxWriteUnits', in write units per second for the whole job": "dynamodb.throughput.write",
    "use option 'maxReadUnits' for reads and 'maxWriteUnits' for writes, in units per second for the whole job": (
        "throughput"
    ),
    "use option 'numPartitions' for tasks, or 'segments' for scan segments": "readPartitions defaultParallelism "
    "maxPartitionBytes parallelism dynamodb.splits dynamodb.max.map.tasks",
    "use option 'segments'": "totalSegments",
    "use option 'numPartitions', or repartition the frame": "dynamodb.output.numParallelTasks",
    "use option 'consistentRead'": "stronglyConsistentReads consistentReads stronglyConsistent",
    "use option 'operation', one of put, insert, update, delete": "update delete put insert upsert "
    "writeMode saveMode writeOperation",
    "leave it out; a write always sends as many items as a request may have, and 'maxWriteUnits' or 'writeRatio' limits it": (
        "writeBatchSize batchSize"
    ),
    "leave it out; a read always asks for pages as large as DynamoDB gives them, and limit() after load bounds its rows": (
        "limit itemLimit pageSize fetchSize scanLimit"
    ),
    "use option 'retryTimeout', in seconds": "dynamodb.retry.duration dynamodb.output.retry maxRetries maxAttempts",
    "use option 'requestTimeout', in seconds": "readTimeout socketTimeout connectTimeout",
    "use option 'filter', a predicate in Spark's SQL": "filterPushdown filterExpression keyConditionExpression "
    "keyCondition pushDownPredicate predicate query where",
    "use option 'condition', a predicate in Spark's SQL": "conditionExpression",
    "use option 'columns', or a schema of one's own": "projectionExpression attributesToGet projection "
    "dynamodb.column.mapping dynamodb.type.mapping",
    "leave it out; names and values stand in options 'filter' and 'condition' as they are": (
        "expressionAttributeNames expressionAttributeValues"
    ),
    "use option 'partitionKey' beside 'createTable'; a table that exists has its own": "hashKey primaryKey keySchema",
    "use option 'sortKey' beside 'createTable'; a table that exists has its own": "rangeKey",
    "leave it out; the schema is inferred unless .schema(...) gives one, and 'samplingSize' says from how many items": (
        "inferSchema mergeSchema samplingRatio"
    ),
    "give the schema by .schema(...) before load, or a Pydantic model by option 'model'": "schema",
    "leave it out; attributes have names of their own": "header",
    "leave it out; it is of files, and items are no lines": "delimiter sep multiLine quote escape encoding compression",
    "use option 'nulls', one of auto, omit, write, remove": "dynamodb.null.serialization nullValue ignoreNullFields",
    "use option 'itemFormat' with json or variant for whole items": "dynamodb.unnestDDBJson dynamodb.simplifyDDBJson json "
    "format",
    "leave it out; the table itself is read here, not an export to S3": "dynamodb.export dynamodb.exportTime dynamodb.s3.bucket "
    "dynamodb.s3.prefix dynamodb.s3.bucketOwner",
    "use option 'mode' (FAILFAST, PERMISSIVE, DROPMALFORMED)": "parseMode",
    "use option 'columnNameOfCorruptRecord'": "corruptRecordColumn",
}  # fmt: skip
_BY_NAME: Mapping[str, str] = {name.lower(): what for what, names in _INSTEAD.items() for name in names.split()}


def instead_of(name: str) -> str | None:
    """What to do here in place of an option that has that name elsewhere, in any case; None for a name nobody is known to use.

    >>> instead_of("indexName"), instead_of("nobodys")
    ("use option 'index'", None)
    """
    return _BY_NAME.get(name.lower())
