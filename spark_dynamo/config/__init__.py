"""Where DynamoDB is, how to reach it and how tables are named: `DynamoDBConfig`.

Values come in layers, the nearest to the operator first, so that deployed code can be redirected without touching it:

1. options of a command line, a read or a write
2. environment variables (those of `ENVIRONMENT_VARIABLES`; an empty one counts as not set, as in AWS's own tools)
3. the file `.env` of the working directory, with the same names
4. arguments
5. a factory's defaults, then the fields' own; but where nothing names the region, AWS's own chain comes before the field's

Who signs the requests is decided in this order:

1. keys or a profile: whichever the uppermost layer that has any of them names. They come from one layer together: a key id
   is never joined to the secret of another layer, and keys of the environment take the place of a profile in an argument.
   Keys and a profile in one layer contradict each other, and so does half a pair of keys: ConfigurationError.
2. where no layer has any: AWS's own chain (the variable AWS_PROFILE, SSO, web identity, container, machine).
3. where there is a `role_arn`, it is assumed with what 1 or 2 found, in any account, and its credentials renew themselves.
"""

from __future__ import annotations

from spark_dynamo.config.configuration import DynamoDBConfig
from spark_dynamo.config.layers import ENVIRONMENT_VARIABLES, ConfigurationOverrideWarning
from spark_dynamo.config.names import ENVIRONMENTS, physical_table_name
from spark_dynamo.config.secrets import Secret

__all__ = [
    "ENVIRONMENTS",
    "ENVIRONMENT_VARIABLES",
    "ConfigurationOverrideWarning",
    "DynamoDBConfig",
    "Secret",
    "physical_table_name",
]
