"""The statements in `sql/`: how they are read, and that none of them is dead."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

import pytest

from dataqueue.storage.postgres import statements
from dataqueue.storage.postgres.statements import source_of, split_script, statement

BACKEND: Final = Path(statements.__file__).parent
NAMES: Final = sorted(
    str(path.relative_to(BACKEND / "sql").with_suffix("")) for path in (BACKEND / "sql").rglob("*.sql")
)
MAIN: Final = [name for name in NAMES if not name.startswith("lib/")]


def test_a_statement_is_found_by_its_noun_and_verb() -> None:
    assert source_of("jobs/hold").startswith("select id from dataqueue.job where")
    assert statement("jobs/get") is statement("jobs/get")
    with pytest.raises(FileNotFoundError):
        source_of("jobs/nothing")


def test_what_a_statement_includes_stands_in_its_place() -> None:
    cancel = source_of("jobs/cancel")
    assert "cancelled as (" in cancel
    assert cancel.index("doomed as (") < cancel.index("cancelled as (") < cancel.index("marked as (")


@pytest.mark.parametrize("name", NAMES)
def test_a_source_has_no_comment_and_no_open_include(name: str) -> None:
    assert "--" not in source_of(name)
    assert source_of(name) == source_of(name).strip()


@pytest.mark.parametrize("name", MAIN)
def test_a_file_holds_one_statement_and_ends_it(name: str) -> None:
    assert source_of(name).endswith(";")
    assert len(split_script(source_of(name))) == 1


@pytest.mark.parametrize("name", MAIN)
def test_every_statement_is_run_by_some_module(name: str) -> None:
    assert any(f'"{name}"' in module.read_text() for module in BACKEND.glob("*.py"))


@pytest.mark.parametrize("name", [name for name in NAMES if name.startswith("lib/")])
def test_every_shared_part_is_included_by_several(name: str) -> None:
    included = [path for path in (BACKEND / "sql").rglob("*.sql") if f"-- include: {name}.sql" in path.read_text()]
    included += [module for module in BACKEND.glob("*.py") if re.search(f"[\"']{name}[\"']", module.read_text())]
    assert len(included) > 1


@pytest.mark.parametrize("name", MAIN)
def test_parameters_are_in_lower_case_and_text_of_an_event_is_none(name: str) -> None:
    parameters = set(statement(name).names)
    assert all(re.fullmatch("[a-z][a-z_]*", parameter) for parameter in parameters)
    assert parameters.isdisjoint({"added", "processing", "completed", "failed", "cancelled"})


@pytest.mark.parametrize("name", MAIN)
def test_the_instant_of_a_statement_is_the_one_it_is_given(name: str) -> None:
    """Each reading of the server's clock stands behind the instant that a test may give."""
    source = re.sub(r"\s+", " ", source_of(name))
    given = r"coalesce\(cast\(:at as timestamptz\), (now|clock_timestamp)\(\)\)"
    assert re.findall(r"(now|clock_timestamp)\(\)", re.sub(given, "", source)) == []


@pytest.mark.parametrize(
    ("script", "found"),
    [
        ("", []),
        (" ;; \n ; ", []),
        ("select 1", ["select 1"]),
        ("select 1;", ["select 1"]),
        ("select 1; select 2", ["select 1", "select 2"]),
        ("-- a; b\nselect 1; -- c;\n-- d\nselect 2;\n", ["select 1", "select 2"]),
        ("create function f() as $$ a; b; $$; select 1;", ["create function f() as $$ a; b; $$", "select 1"]),
        ("do $$ a; $$; do $$ b; $$", ["do $$ a; $$", "do $$ b; $$"]),
        ("f $$ a;\n -- c;\n b; $$ language sql;", ["f $$ a;\n -- c;\n b; $$ language sql"]),
        ("f $$ '--x' $$; -- $$ c\nselect 1;", ["f $$ '--x' $$", "select 1"]),
    ],
)
def test_a_script_is_split_where_its_statements_end(script: str, found: list[str]) -> None:
    assert split_script(script) == found


def test_the_schema_splits_into_definitions() -> None:
    for name in ("schema.sql", "functions.sql", "counting.sql"):
        for part in split_script((BACKEND / name).read_text()):
            assert re.match(r"(create|insert) ", part), part
            assert part.count("$$") in (0, 2)
