"""Which modules are imported for their handlers, and what is said of those that cannot be."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from importlib.metadata import EntryPoint, EntryPoints
from pathlib import Path
from textwrap import dedent

import pytest

from workers import discovery
from workers.discovery import HandlersNotLoaded, load_handlers


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The working directory; what is imported from it is forgotten again."""
    before = set(sys.modules)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.setattr(discovery, "entry_points", lambda group: EntryPoints())
    yield tmp_path
    for name in set(sys.modules) - before:
        del sys.modules[name]


def given_module(folder: Path, name: str, text: str = "") -> None:
    file = folder / f"{name.replace('.', '/')}.py"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(dedent(text))


def test_modules_are_found_in_the_working_directory(folder: Path) -> None:
    given_module(folder, "shop_handlers", "LOADED = True")
    assert load_handlers(["shop_handlers"]) == ("shop_handlers",)
    assert sys.modules["shop_handlers"].LOADED


def test_modules_are_found_inside_packages(folder: Path) -> None:
    given_module(folder, "shop_package.handlers")
    load_handlers(["shop_package.handlers"])
    assert "shop_package.handlers" in sys.modules


@pytest.mark.parametrize("name", ["app", "app.handlers", "workers", "dataqueue.handlers", "alembic"])
def test_names_of_our_own_packages_are_refused(folder: Path, name: str) -> None:
    top = name.partition(".")[0]
    with pytest.raises(HandlersNotLoaded, match=f"{name!r} cannot be used: the name {top!r} belongs to DataQueue"):
        load_handlers([name])


@pytest.mark.parametrize("name", ["shop/handlers.py", "shop-handlers", "shop..handlers", ".handlers", "shop handlers"])
def test_what_is_no_module_name_is_refused(folder: Path, name: str) -> None:
    with pytest.raises(HandlersNotLoaded, match="is no module name"):
        load_handlers([name])


@pytest.mark.parametrize("name", ["nowhere_handlers", "nowhere_package.handlers"])
def test_a_module_that_is_not_there_is_named(folder: Path, name: str) -> None:
    with pytest.raises(HandlersNotLoaded, match=f"handler module {name!r} cannot be found, neither in {folder} nor"):
        load_handlers([name])


def test_a_missing_import_inside_a_module_is_told_from_a_missing_module(folder: Path) -> None:
    given_module(folder, "shop_broken", "import nowhere_at_all")
    with pytest.raises(
        HandlersNotLoaded, match=r"'shop_broken' cannot be imported: ModuleNotFoundError: .*nowhere_at_all"
    ):
        load_handlers(["shop_broken"])


def test_an_error_inside_a_module_is_told_with_its_line(folder: Path) -> None:
    given_module(folder, "shop_wrong", "x = 1\ny = undefined_name\n")
    with pytest.raises(HandlersNotLoaded, match=r"NameError: .*undefined_name.*\(.*shop_wrong\.py, line 2\)"):
        load_handlers(["shop_wrong"])


def test_a_syntax_error_is_one_sentence(folder: Path) -> None:
    given_module(folder, "shop_syntax", "def broken(:\n")
    with pytest.raises(HandlersNotLoaded, match=r"SyntaxError: .*shop_syntax\.py, line 1") as caught:
        load_handlers(["shop_syntax"])
    assert "\n" not in str(caught.value)


def test_a_module_that_exits_does_not_take_us_along(folder: Path) -> None:
    given_module(folder, "shop_exits", "raise SystemExit(3)")
    with pytest.raises(HandlersNotLoaded, match="SystemExit: 3"):
        load_handlers(["shop_exits"])


def test_two_handlers_of_one_type_are_named(folder: Path) -> None:
    given_module(
        folder,
        "shop_twice",
        """
        from dataqueue import HandlerRegistry
        registry = HandlerRegistry()
        for _ in range(2):
            @registry.handler("twice")
            def first(payload): ...
        """,
    )
    with pytest.raises(HandlersNotLoaded, match="job type 'twice' has two handlers"):
        load_handlers(["shop_twice"])


def test_what_installed_packages_announce_is_loaded_too(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    given_module(folder, "shop_announced")
    monkeypatch.syspath_prepend(folder)
    point = EntryPoint(name="shop", value="shop_announced", group="dataqueue.handlers")
    monkeypatch.setattr(discovery, "entry_points", lambda group: EntryPoints([point]).select(group=group))
    assert load_handlers([]) == ("shop_announced",)
    assert "shop_announced" in sys.modules


def test_an_announced_module_that_is_broken_is_named_with_its_entry_point(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    point = EntryPoint(name="shop", value="nowhere_announced", group="dataqueue.handlers")
    monkeypatch.setattr(discovery, "entry_points", lambda group: EntryPoints([point]).select(group=group))
    with pytest.raises(HandlersNotLoaded, match=r"'nowhere_announced' \(entry point 'shop' of an installed package\)"):
        load_handlers([])


def test_without_modules_the_working_directory_stays_out_of_the_path(folder: Path) -> None:
    load_handlers([])
    assert str(folder) not in sys.path
