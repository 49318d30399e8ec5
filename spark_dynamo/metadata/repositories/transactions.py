"""Transactions across repositories: writes to several items in several tables that happen together or not at all."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Any, TypeVar

from pydantic import BaseModel

from spark_dynamo.aws.failures import Cancellation, explain_cancelled
from spark_dynamo.errors import ConfigurationError, RequestFailedError, ValidationError, show_key
from spark_dynamo.metadata.access import Access
from spark_dynamo.metadata.caching.base import Cache
from spark_dynamo.metadata.repositories.actions import Action, check, creation, deletion, updating
from spark_dynamo.metadata.repositories.calls import run_in_pool
from spark_dynamo.metadata.repositories.operations import Operations
from spark_dynamo.metadata.repositories.writing import explained
from spark_dynamo.metadata.steps import Steps, Transact, run

__all__ = ["AsyncTransaction", "Transaction"]

T = TypeVar("T", bound=BaseModel)

_MOST_ACTIONS = 100
_NAMES = {"put": "Put", "update": "Update", "delete": "Delete", "check": "ConditionCheck"}


class _Actions:
    """The actions of a transaction, in the order in which they were added; none is sent before the commit.

    Each method raises ValidationError for what the model refuses, for a second action on the same item and for a 101st action,
    and ConfigurationError for a repository of another connection than the first one's.
    """

    def __init__(self) -> None:
        self._actions: list[Action[Any]] = []
        self._access: Access | None = None
        self._caches: list[Cache] = []

    def __len__(self) -> int:
        return len(self._actions)

    def create(
        self, repository: Operations[T], item: T, *, overwrite: bool = False, current_timezone: str | None = None
    ) -> T:
        """Store a new item; gives it as it will be stored. The commit is refused where there is one with its key."""
        action = creation(repository.written(current_timezone), item, overwrite)
        self._add(repository, action)
        assert action.model is not None
        return action.written.result(action.model)

    def update(
        self,
        repository: Operations[T],
        item: T | Any,
        changes: Mapping[str, Any] | None = None,
        *,
        condition: str | None = None,
        expected_version: int | None = None,
        current_timezone: str | None = None,
    ) -> None:
        """Change a stored item, as the repository's `update` does."""
        written = repository.written(current_timezone)
        self._add(repository, updating(written, item, changes, condition=condition, expected_version=expected_version))

    def delete(
        self,
        repository: Operations[Any],
        key: Any,
        *,
        condition: str | None = None,
        expected_version: int | None = None,
    ) -> None:
        """Delete an item, which there must be; of a model's version, where it has a `version_attribute`."""
        self._add(
            repository, deletion(repository.written(None), key, condition=condition, expected_version=expected_version)
        )

    def check(
        self, repository: Operations[Any], key: Any, condition: str | None = None, *, exists: bool = True
    ) -> None:
        """Ask that there is such an item, of which the condition is true; or with `exists` False that there is none."""
        self._add(repository, check(repository.written(None), key, condition, exists))

    def _add(self, repository: Operations[Any], action: Action[Any]) -> None:
        access = repository.access()
        if self._access is not None and access.connection != self._access.connection:
            raise ConfigurationError(
                f"The repository of table '{action.written.table}' has another connection than the transaction's first one: a "
                "transaction is of one account and region. Give both the same configuration"
            )
        if any(
            (known.written.table, known.key_text) == (action.written.table, action.key_text) for known in self._actions
        ):
            key = show_key(action.written.codec.shown_key(action.key))
            raise ValidationError(
                f"The transaction has two actions for item {key} of table '{action.written.table}', and DynamoDB takes one: make "
                "them one update"
            )
        if len(self._actions) == _MOST_ACTIONS:
            raise ValidationError(f"A transaction has at most {_MOST_ACTIONS} actions: make it two, or use batches")
        self._access = self._access or access
        if access.cache is not None and not any(access.cache is known for known in self._caches):
            self._caches.append(access.cache)
        self._actions.append(action)

    def _begin(self) -> tuple[Steps[None], Access] | None:
        """The steps of the commit, None where there is nothing to do; the actions are then gone."""
        actions, access, caches = self._actions, self._access, self._caches
        self._actions, self._access, self._caches = [], None, []
        return None if access is None else (_commit(actions, caches), access)


class Transaction(_Actions):
    """Writes that happen together or not at all, when the `with` block ends; an exception in the block sends none of them.

    At most 100 actions and 4 MB. The error of the first action that was refused is raised: ItemAlreadyExistsError,
    ItemNotFoundError, VersionConflictError or ConditionFailedError, and nothing was written then. A transaction that meets
    another one on the same items is repeated as often as the configuration's `retries` says, then RequestFailedError.

    >>> with Transaction() as together:  # doctest: +SKIP
    ...     together.create(PipelineConfigRepository(), pipeline)
    ...     together.update(TableConfigRepository(), "orders", {"pipeline_id": pipeline.pipeline_id})
    """

    def commit(self) -> None:
        """Send the actions; without any, nothing is sent."""
        begun = self._begin()
        if begun:
            run(*begun)

    def __enter__(self) -> Transaction:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if kind is None:
            self.commit()


class AsyncTransaction(_Actions):
    """Writes of several items, all or none, for event loops: `async with`, or `await transaction.commit()`.

    It takes repositories of both kinds.

    >>> async with AsyncTransaction() as together:  # doctest: +SKIP
    ...     together.delete(AsyncTableConfigRepository(), "orders")
    """

    async def commit(self) -> None:
        """Send the actions; without any, nothing is sent."""
        begun = self._begin()
        if begun:
            steps, access = begun
            await run_in_pool(access, run, steps, access)

    async def __aenter__(self) -> AsyncTransaction:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if kind is None:
            await self.commit()


def _commit(actions: Sequence[Action[Any]], caches: Sequence[Cache]) -> Steps[None]:
    changes: dict[str, list[str]] = {}
    for action in actions:
        changes.setdefault(action.written.table, []).append(action.key_text.decode())
    pipelines = {action.pipeline for action in actions}
    pipeline = pipelines.pop() if len(pipelines) == 1 else None
    answer: tuple[list[Cancellation] | None, bool]
    try:
        answer = yield Transact(
            [{_NAMES[action.kind]: action.request} for action in actions], changes, caches, pipeline
        )
    except RequestFailedError as error:
        if len(actions) > 1:  # nobody says which one it is
            raise
        raise explained(actions[0], error) from error
    reasons, is_lost = answer
    if reasons is None:
        return
    refused = [pair for pair in zip(actions, reasons, strict=True) if not pair[1].is_none]
    if is_lost and all(reason.is_condition and action.is_done(reason.stored) for action, reason in refused):
        return  # the attempt whose answer was lost has done it, all of it
    action, reason = next((pair for pair in refused if pair[1].is_condition), refused[0])
    if reason.is_condition:
        raise action.refusal(reason.stored)
    key = show_key(action.written.codec.shown_key(action.key))
    raise explained(action, explain_cancelled(action.written.table, key, reason))
