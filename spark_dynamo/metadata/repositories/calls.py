"""How one operation becomes a method of two repositories: one that blocks, and one to await.

An operation is written once, as a generator of steps (`metadata.steps`). On a `BaseDynamoRepository` its name is a plain
method; on an `AsyncDynamoRepository` it gives an awaitable, with the same parameters. Another operation goes through it by
`yield from self.name.steps(...)`, which is neither. A subclass overrides an operation by another one, or by a plain method.
"""

from __future__ import annotations

import asyncio
import contextvars
import inspect
import os
from collections.abc import AsyncIterator, Callable, Generator, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import lru_cache, update_wrapper
from typing import TYPE_CHECKING, Any, Concatenate, Generic, ParamSpec, TypeVar, overload

from spark_dynamo.errors import ConfigurationError
from spark_dynamo.metadata.access import Access
from spark_dynamo.metadata.steps import Paged, Steps, run, run_pages

if TYPE_CHECKING:
    from spark_dynamo.metadata.repositories.base import AsyncDynamoRepository, BaseDynamoRepository
    from spark_dynamo.metadata.repositories.operations import Operations

__all__ = ["Operation", "PagedOperation", "adopt_plain_methods", "operation", "paged", "run_in_pool"]

P = ParamSpec("P")
R = TypeVar("R")
_END = object()


class Bound(Generic[P, R]):
    """An operation of one repository, with the operation's name, docstring and signature."""

    def __init__(self, function: Callable[..., Any], repository: Operations[Any]) -> None:
        self._function, self._repository = function, repository
        self.__name__, self.__doc__ = function.__name__, function.__doc__

    @property
    def __signature__(self) -> inspect.Signature:
        whole = inspect.signature(self._function)
        return whole.replace(parameters=list(whole.parameters.values())[1:])

    def __repr__(self) -> str:
        return f"<{self._function.__name__} of {self._repository!r}>"

    def _begun(self, *args: Any, **kwargs: Any) -> Any:
        """The operation's generator, of which nothing has run; TypeError, with a sentence, where these are not its arguments."""
        try:
            return self._function(self._repository, *args, **kwargs)
        except TypeError:
            self._check_arguments(*args, **kwargs)
            raise

    def _check_arguments(self, *args: Any, **kwargs: Any) -> None:
        try:
            self.__signature__.bind(*args, **kwargs)
        except TypeError as error:
            called = f"{type(self._repository).__name__}.{self._function.__name__}"
            raise TypeError(f"{called} can't be called so: {error}. Call it as {called}{self._arguments}") from None

    @property
    def _arguments(self) -> str:
        """As one calls it: without the types."""
        parameters = [one.replace(annotation=one.empty) for one in self.__signature__.parameters.values()]
        return str(inspect.Signature(parameters))


class Stepwise(Bound[P, R]):
    """An operation that another operation may go through."""

    def steps(self, *args: P.args, **kwargs: P.kwargs) -> Steps[R]:
        """The operation's steps."""
        steps: Steps[R] = self._begun(*args, **kwargs)
        return steps


class Call(Stepwise[P, R]):
    """An operation that blocks."""

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        return run(self.steps(*args, **kwargs), self._repository.access())


class AsyncCall(Stepwise[P, R]):
    """An operation to await."""

    async def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        access = self._repository.access()
        return await run_in_pool(access, run, self.steps(*args, **kwargs), access)


class Pages(Bound[P, R]):
    """An operation that gives pages one by one."""

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> Iterator[R]:
        return run_pages(self._begun(*args, **kwargs), self._repository.access())


class AsyncPages(Bound[P, R]):
    """An operation whose pages are iterated by `async for`."""

    async def __call__(self, *args: P.args, **kwargs: P.kwargs) -> AsyncIterator[R]:
        access = self._repository.access()
        pages: Generator[R, None, None] = run_pages(self._begun(*args, **kwargs), access)
        try:
            while True:
                page: Any = await run_in_pool(access, next, pages, _END)
                if page is _END:
                    return
                yield page
        finally:
            access.end()
            with suppress(ValueError):  # a thread is still at it, as this task was cancelled
                pages.close()


class Operation(Generic[P, R]):
    """A method that becomes a `Call` or an `AsyncCall`, as its repository is of the one kind or the other."""

    def __init__(self, function: Callable[Concatenate[Any, P], Steps[R]]) -> None:
        self._function = function
        _named_as(self, function)

    @overload
    def __get__(self, repository: None, owner: type) -> Operation[P, R]: ...
    @overload
    def __get__(self, repository: BaseDynamoRepository[Any], owner: type) -> Call[P, R]: ...
    @overload
    def __get__(self, repository: AsyncDynamoRepository[Any], owner: type) -> AsyncCall[P, R]: ...
    @overload
    def __get__(self, repository: Operations[Any], owner: type) -> Stepwise[P, R]: ...
    def __get__(self, repository: Operations[Any] | None, owner: type) -> Any:
        if repository is None:
            return self
        return (AsyncCall if repository.is_async else Call)(self._function, repository)


class PlainCall(Call[P, R]):
    """A plain method in an operation's place."""

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        result: R = self._function(self._repository, *args, **kwargs)
        return result

    def steps(self, *args: P.args, **kwargs: P.kwargs) -> Steps[R]:
        """Steps of which none is left to others: the method does all by itself."""
        if self._repository.is_async:
            name, owner = self._function.__name__, type(self._repository).__name__
            raise ConfigurationError(
                f"{owner}.{name} is an awaited method of its own, which no other operation of the repository can go through: "
                "make it an `@operation` of spark_dynamo.metadata.repositories.calls that asks by "
                f"`yield from super().{name}.steps(...)`"
            )
        return self(*args, **kwargs)
        yield  # it is a generator, as all steps are


class PlainOperation(Operation[P, R]):
    """What a plain method becomes that overrides an operation."""

    def __get__(self, repository: Any, owner: type) -> Any:
        return self._function if repository is None else PlainCall(self._function, repository)


class PagedOperation(Generic[P, R]):
    """What makes of a function an operation that gives pages of type R."""

    def __init__(self, function: Callable[Concatenate[Any, P], Paged[R]]) -> None:
        self._function = function
        _named_as(self, function)

    @overload
    def __get__(self, repository: None, owner: type) -> PagedOperation[P, R]: ...
    @overload
    def __get__(self, repository: BaseDynamoRepository[Any], owner: type) -> Pages[P, R]: ...
    @overload
    def __get__(self, repository: AsyncDynamoRepository[Any], owner: type) -> AsyncPages[P, R]: ...
    @overload
    def __get__(self, repository: Operations[Any], owner: type) -> Bound[P, R]: ...
    def __get__(self, repository: Operations[Any] | None, owner: type) -> Any:
        if repository is None:
            return self
        return (AsyncPages if repository.is_async else Pages)(self._function, repository)


def _named_as(wrapper: Any, function: Callable[..., Any]) -> None:
    update_wrapper(wrapper, function)  # name, docstring and signature, as help() shows them


def adopt_plain_methods(repository: type) -> None:
    """Let the operations of a class of repositories go through the plain methods that override others of them."""
    bases = repository.__mro__
    for name in {name for base in bases for name, held in vars(base).items() if isinstance(held, Operation)}:
        held = inspect.getattr_static(repository, name)
        if inspect.isfunction(held):
            setattr(repository, name, PlainOperation(held))


def operation(function: Callable[Concatenate[Any, P], Steps[R]]) -> Operation[P, R]:
    """Make a generator of steps an operation of a repository; use it as a decorator."""
    return Operation(function)


def paged(function: Callable[Concatenate[Any, P], Paged[R]]) -> PagedOperation[P, R]:
    """Make a generator that yields `Found(page)` among its steps an operation that gives pages; use it as a decorator."""
    return PagedOperation(function)


async def run_in_pool(access: Access, function: Callable[..., R], *arguments: Any) -> R:
    """What a function gives that blocks, run by one of the threads that requests wait in.

    There are as many as the connection's pool has connections. A task that is cancelled ends its requests: what is under way
    comes to its end unheard, and nothing more is sent.
    """
    context = contextvars.copy_context()  # spans of the caller go on in the thread
    loop = asyncio.get_running_loop()
    pool = _pool(access.connection.max_pool_connections, os.getpid())
    try:
        return await loop.run_in_executor(pool, lambda: context.run(function, *arguments))
    except asyncio.CancelledError:
        access.end()
        raise


@lru_cache(maxsize=8)
def _pool(size: int, process: int) -> ThreadPoolExecutor:  # process: a forked child has none of the threads
    return ThreadPoolExecutor(max_workers=size, thread_name_prefix="dynamodb-await")
