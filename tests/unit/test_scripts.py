"""The scripts in `lua/`: how they are read, and that none of them is dead."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

import pytest

from dataqueue.storage.redis import scripts
from dataqueue.storage.redis.scripts import script

BACKEND: Final = Path(scripts.__file__).parent
LUA: Final = BACKEND / "lua"
NAMES: Final = sorted(str(path.relative_to(LUA).with_suffix("")) for path in LUA.rglob("*.lua"))
MAIN: Final = [name for name in NAMES if not name.startswith("lib/")]
LIB: Final = [name for name in NAMES if name.startswith("lib/")]
DEFINITION: Final = re.compile(r"^local function (\w+)|^local ([\w, ]+) =", re.MULTILINE)


def own_source(name: str) -> str:
    return (LUA / f"{name}.lua").read_text()


def test_a_script_is_found_by_its_noun_and_verb() -> None:
    assert script("jobs/claim").source.startswith("-- Ready -> processing")
    assert script("jobs/claim") is script("jobs/claim")
    with pytest.raises(FileNotFoundError):
        script("jobs/nothing")


@pytest.mark.parametrize("name", MAIN)
def test_what_a_script_includes_stands_in_its_place_once(name: str) -> None:
    source = script(name).source
    assert "-- include:" not in source
    defined = [match[1] for match in DEFINITION.finditer(source) if match[1]]
    assert len(defined) == len(set(defined))


@pytest.mark.parametrize("name", MAIN)
def test_a_script_begins_with_its_contract(name: str) -> None:
    """What it does in a line, then what it is given."""
    first, second = own_source(name).splitlines()[:2]
    assert first.startswith("-- ")
    assert "KEYS[1]" in own_source(name).split("local ", 1)[0], f"{name}: of what are the keys?"
    assert second.startswith("--")


@pytest.mark.parametrize("name", NAMES)
def test_no_script_makes_a_global(name: str) -> None:
    """Redis refuses to set one, and only when the line is reached."""
    assigned = re.findall(r"^(?:function )?([a-z_]\w*)(?:\(| =)", own_source(name), re.MULTILINE)
    own = {name for match in DEFINITION.finditer(own_source(name)) for name in named(match)}
    shared = {name for one in LIB for match in DEFINITION.finditer(own_source(one)) for name in named(match)}
    assert set(assigned) <= own | shared


def named(definition: re.Match[str]) -> list[str]:
    return [definition[1]] if definition[1] else definition[2].split(", ")


@pytest.mark.parametrize("name", MAIN)
def test_every_script_is_run_by_some_module(name: str) -> None:
    """By its whole name, or by its verb in a module that puts the noun before it."""
    noun, _, verb = name.partition("/")
    verbs = (f'"{verb}"', f"Verb.{verb.upper()},")
    modules = [module.read_text() for module in BACKEND.glob("*.py")]
    assert any(
        f'"{name}"' in text or (f'f"{noun}/{{' in text and any(one in text for one in verbs)) for text in modules
    )


@pytest.mark.parametrize("name", LIB)
def test_every_shared_part_is_included(name: str) -> None:
    assert any(f"-- include: {name}.lua" in own_source(one) for one in NAMES)


@pytest.mark.parametrize("name", MAIN)
def test_every_name_of_a_key_is_documented(name: str) -> None:
    from dataqueue.storage.redis.keys import OF_A_NAMESPACE, OF_NO_NAMESPACE

    known = {key.name.partition(":")[0].partition("<")[0] for key in (*OF_A_NAMESPACE, *OF_NO_NAMESPACE)}
    used = set(re.findall(r"key\('([a-z_]+)", script(name).source))
    used |= set(re.findall(r"KEYS\[1\] \.\. ':([a-z_]+)", script(name).source))
    assert used <= known
