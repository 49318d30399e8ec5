"""The questions that the demo asks: flights from a file, joined to what came back from DynamoDB."""

from __future__ import annotations

from collections.abc import Mapping

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F  # noqa: N812 - its name everywhere

from spark_dynamo.demo.story import Answer, Story

__all__ = ["ask"]

_MANY_FLIGHTS = 1_000
_SHOWN = 8


def ask(flights: DataFrame, tables: Mapping[str, DataFrame], story: Story) -> list[Answer]:
    """The answers, each a title, its columns and its rows; the last column is the mean delay in minutes."""
    with story.stage("Join and aggregate in Spark"):
        return [
            Answer(
                f"Which planes leave late? Models with {_MANY_FLIGHTS:,} flights, mean delay in minutes",
                ("manufacturer", "model", "flights", "delay"),
                _rows(_by_model(flights, tables["planes"])),
            ),
            Answer(
                f"Which airlines? The {_SHOWN} largest, and where each of them flies most",
                ("airline", "mostly to", "flights", "delay"),
                _rows(_by_airline(flights, tables["airlines"], tables["airports"])),
            ),
            Answer(
                "Is it the weather? Newark, 6 to 19 March 2013",
                ("weather", "hours", "flights", "delay"),
                _rows(_by_weather(flights, tables["weather"])),
            ),
        ]


def _by_model(flights: DataFrame, planes: DataFrame) -> DataFrame:
    return (
        flights.join(planes, "tailnum")
        .groupBy("manufacturer", "model")
        .agg(F.count("*").alias("flights"), F.mean("dep_delay").alias("delay"))
        .where(F.col("flights") >= _MANY_FLIGHTS)
        .orderBy(F.desc("delay"))
        .limit(_SHOWN)
    )


def _by_airline(flights: DataFrame, airlines: DataFrame, airports: DataFrame) -> DataFrame:
    routes = flights.groupBy("carrier", "dest").agg(
        F.count("*").alias("flights"), F.sum("dep_delay").alias("minutes"), F.count("dep_delay").alias("departed")
    )
    return (
        routes.join(airlines.select("carrier", _without("name", r" Inc\.$").alias("airline")), "carrier")
        .join(airports.select(F.col("faa").alias("dest"), _without("name", " Intl$").alias("airport")), "dest", "left")
        .groupBy("airline")
        .agg(
            F.max_by(F.coalesce("airport", "dest"), "flights").alias("mostly_to"),
            F.sum("flights").alias("flights"),
            (F.sum("minutes") / F.sum("departed")).alias("delay"),
        )
        .orderBy(F.desc("flights"))
        .limit(_SHOWN)
        .orderBy(F.desc("delay"))
    )


def _by_weather(flights: DataFrame, weather: DataFrame) -> DataFrame:
    kind = (
        F.when(F.col("precip") >= 0.1, "rain or snow, 0.1 inch an hour or more")
        .when(F.col("precip") > 0, "rain or snow, less than that")
        .when(F.col("wind_speed") > 10, "dry, wind over 10 mph")
        .otherwise("dry, wind up to 10 mph")
    )
    return (
        flights.join(weather.select("origin", "time_hour", kind.alias("kind")), ["origin", "time_hour"])
        .groupBy("kind")
        .agg(
            F.count_distinct("time_hour").alias("hours"),
            F.count("*").alias("flights"),
            F.mean("dep_delay").alias("delay"),
        )
        .orderBy(F.desc("delay"))
    )


def _without(column: str, ending: str) -> Column:
    return F.regexp_replace(column, ending, "")


def _rows(answer: DataFrame) -> list[tuple[str | int | float, ...]]:
    return [tuple(row) for row in answer.collect()]
