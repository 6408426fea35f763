"""What holds for every file. The directions of imports are held by import-linter, in `make check`."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

ROOT: Final = Path(__file__).parents[2]
PACKAGES: Final = ("dataqueue", "app", "workers")
FOLDERS: Final = (*PACKAGES, "alembic", "benchmarks", "examples", "docs", "tests")
# They carry no meaning: whatever is in them belongs where it is used.
EMPTY_NAMES: Final = {"utils", "util", "helpers", "helper", "common", "misc", "types", "manager", "managers", "base"}
# Those that look past the port, or at both backends at a time.
PAST_THE_PORT: Final = {
    *("callers.py", "past_the_port.py", "plans.py", "postgres_link.py", "raw.py", "redis_link.py", "severing.py"),
    *("test_backends_agree.py", "twins.py"),
}
# The commands: they hand the environment on to the processes they start.
EDGE: Final = {"workers/cli_settings.py", "workers/dev.py", "workers/running.py", "workers/serving.py"}


def files(suffix: str, *folders: str) -> Iterator[Path]:
    for folder in folders:
        yield from (path for path in (ROOT / folder).rglob(f"*{suffix}") if "__pycache__" not in path.parts)


def name_of(path: Path) -> str:
    return str(path.relative_to(ROOT))


def lines_in(path: Path) -> int:
    return len(path.read_text().splitlines())


def test_no_module_is_longer_than_400_lines() -> None:
    modules = list(files(".py", *FOLDERS))
    assert len(modules) > 50
    assert {name_of(module): lines_in(module) for module in modules if lines_in(module) > 400} == {}


@pytest.mark.parametrize("suffix", [".sql", ".lua"])
def test_no_statement_is_longer_than_150_lines(suffix: str) -> None:
    assert {name_of(file): lines_in(file) for file in files(suffix, *FOLDERS) if lines_in(file) > 150} == {}


def test_no_file_has_a_name_that_says_nothing() -> None:
    assert [name_of(file) for file in files("", *FOLDERS) if file.stem.lower() in EMPTY_NAMES] == []


def test_the_folder_of_revisions_does_not_shadow_the_library() -> None:
    assert not (ROOT / "alembic/__init__.py").exists()
    import alembic

    assert alembic.__file__ is not None
    assert not Path(alembic.__file__).is_relative_to(ROOT / "alembic")


def test_nothing_below_the_edge_reads_the_environment() -> None:
    readers = set()
    for module in files(".py", *PACKAGES):
        for node in ast.walk(ast.parse(module.read_text())):
            is_attribute = isinstance(node, ast.Attribute) and node.attr in {"environ", "environb", "getenv", "putenv"}
            is_import = isinstance(node, ast.ImportFrom) and node.module == "os" and "env" in ast.unparse(node)
            if is_attribute or is_import:
                readers.add(name_of(module))
    assert readers <= EDGE


def test_every_module_of_the_packages_says_what_it_is_for() -> None:
    silent = [
        name_of(module)
        for module in files(".py", *PACKAGES)
        if module.read_text().strip() and not ast.get_docstring(ast.parse(module.read_text()))
    ]
    assert silent == []


def test_the_domain_imports_the_standard_library_and_itself_alone() -> None:
    import sys

    for module in files(".py", "dataqueue/domain"):
        for node in ast.walk(ast.parse(module.read_text())):
            names = []
            if isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom):
                assert node.level == 0
                names = [node.module or ""]
            for name in names:
                assert name.split(".")[0] in sys.stdlib_module_names or name.startswith("dataqueue.domain"), module


def test_no_test_is_skipped_or_expected_to_fail() -> None:
    """But for those that a machine cannot run (`skipif` on its account, say)."""
    marks = {"skip", "xfail", "importorskip"}
    found = set()
    for module in files(".py", "tests"):
        for node in ast.walk(ast.parse(module.read_text())):
            if isinstance(node, ast.Attribute) and node.attr in marks:
                found.add(name_of(module))
    assert found == set()


def test_the_tests_of_the_port_know_no_backend() -> None:
    """A file that does says so in its name."""
    neutral = [
        file
        for file in files(".py", "tests/storage")
        if not file.name.startswith(("test_postgres_", "test_redis_")) and file.name not in PAST_THE_PORT
    ]
    assert len(neutral) > 15
    for file in neutral:
        for node in ast.walk(ast.parse(file.read_text())):
            module = node.module if isinstance(node, ast.ImportFrom) else None
            assert module is None or not {"postgres", "redis"} & set(module.split(".")), name_of(file)
            assert module is None or module.split(".")[0] not in {"asyncpg", "sqlalchemy"}, name_of(file)
