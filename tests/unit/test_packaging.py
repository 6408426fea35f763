"""What is shipped, and how it is installed: the wheel, the constraints, the container files."""

from __future__ import annotations

import importlib.metadata
import re
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path
from typing import Any, Final

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT: Final = Path(__file__).parents[2]
CONSTRAINTS: Final = ("constraints.txt", "constraints-dev.txt")
PIN: Final = re.compile(r"^(?P<name>[A-Za-z0-9._-]+)==(?P<version>[^ ;\\]+)(?P<rest>.*)$")
# Bracketed letters keep the patterns from finding themselves.
REGISTRY: Final = re.compile(
    r"py[p]i\.org|python[h]osted|n[p]mjs\.org|yarn[p]kg\.com|--(?:extra-)?inde[x]-url|--find-link[s]|--trusted-hos[t]"
)


def pins_of(name: str) -> dict[str, tuple[str, int]]:
    """Each pinned distribution with its version and the number of its hashes."""
    pins: dict[str, tuple[str, int]] = {}
    current = ""
    for line in (ROOT / name).read_text().splitlines():
        if found := PIN.match(line):
            current = canonicalize_name(found["name"])
            pins[current] = (found["version"], 0)
        elif line.strip().startswith("--hash=sha256:"):
            version, hashes = pins[current]
            pins[current] = (version, hashes + 1)
        else:
            assert not line.strip() or line.lstrip().startswith("#"), f"neither a pin nor a hash: {line!r}"
    return pins


def project() -> dict[str, Any]:
    return tomllib.loads((ROOT / "pyproject.toml").read_text())


def compose_services() -> dict[str, dict[str, Any]]:
    services = yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"]
    assert isinstance(services, dict)
    return services


@pytest.mark.parametrize("name", CONSTRAINTS)
def test_every_pin_has_a_hash(name: str) -> None:
    pins = pins_of(name)
    assert len(pins) > 20
    assert [pin for pin, (_, hashes) in pins.items() if hashes == 0] == []


def test_both_constraints_pin_the_same_versions_with_the_same_hashes() -> None:
    runtime, everything = (pins_of(name) for name in CONSTRAINTS)
    assert {name: everything.get(name) for name in runtime} == runtime


def test_the_constraints_pin_every_requirement_within_its_bounds() -> None:
    metadata, build = project()["project"], project()["build-system"]["requires"]
    extras = metadata["optional-dependencies"]
    wanted = {
        "constraints.txt": [*metadata["dependencies"], *extras["examples"], *build],
        "constraints-dev.txt": [*extras["dev"], *extras["bench"]],
    }
    for name, requirements in wanted.items():
        pins = pins_of(name)
        for requirement in map(Requirement, requirements):
            if requirement.name != "dataqueue":
                version, _ = pins[canonicalize_name(requirement.name)]
                assert version in requirement.specifier, f"{name}: {requirement} but {version}"


@pytest.mark.parametrize("name", CONSTRAINTS)
def test_the_constraints_name_no_address_and_no_folder(name: str) -> None:
    assert re.findall(r".*(?:://|file:| @ |(?<!\w)/\w+/).*", (ROOT / name).read_text()) == []


def test_no_file_of_the_project_names_a_package_registry() -> None:
    listed = subprocess.run(
        ["git", "ls-files", "-co", "--exclude-standard", "-z"], cwd=ROOT, capture_output=True, check=True
    )
    named = []
    for name in filter(None, listed.stdout.decode().split("\0")):
        path = ROOT / name
        if path.is_file() and (found := REGISTRY.search(path.read_text(errors="ignore"))):
            named.append(f"{name}: {found[0]}")
    assert named == []


def test_the_command_is_installed() -> None:
    (command,) = importlib.metadata.entry_points(group="console_scripts", name="dataqueue")
    assert callable(command.load())


def test_the_wheel_holds_the_packages_their_statements_and_the_revisions(tmp_path: Path) -> None:
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)],
        cwd=ROOT,
        check=True,
        capture_output=True,
    )
    (wheel,) = tmp_path.glob("*.whl")
    shipped = set(zipfile.ZipFile(wheel).namelist())
    for package in ("dataqueue", "app", "workers"):
        sources = {
            path.relative_to(ROOT).as_posix()
            for path in (ROOT / package).rglob("*")
            if path.suffix in {".py", ".sql"} or path.name == "py.typed"
        }
        assert sources - shipped == set()
    assert any(name.endswith(".sql") for name in shipped)
    revisions = {
        path.relative_to(ROOT / "alembic").as_posix()
        for path in (ROOT / "alembic").rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    assert "env.py" in revisions
    assert {f"dataqueue/_alembic/{name}" for name in revisions} <= shipped
    tops = {name.split("/")[0] for name in shipped if ".dist-info/" not in name}
    assert tops == {"dataqueue", "app", "workers"}


def test_the_image_runs_without_root_and_reports_its_health() -> None:
    dockerfile = (ROOT / "Dockerfile").read_text()
    final = dockerfile[dockerfile.rindex("\nFROM ") :]
    assert re.findall(r"^USER (.+)$", final, re.MULTILINE) == ["10001:10001"]
    assert "/healthz" in final[final.index("HEALTHCHECK") :]
    assert 'CMD ["dataqueue", "serve", "--host", "0.0.0.0"]' in final
    assert "pip install --require-hashes -r constraints.txt" in dockerfile


def test_what_the_image_copies_is_sent_to_the_build() -> None:
    copied = re.findall(r"^COPY (?!--from)(.+) \S+$", (ROOT / "Dockerfile").read_text(), re.MULTILINE)
    sources = {source for line in copied for source in line.split()}
    ignored = (ROOT / ".dockerignore").read_text().splitlines()
    assert sources == {line[1:] for line in ignored if line.startswith("!")}
    assert [source for source in sources if not (ROOT / source).exists()] == []


@pytest.mark.parametrize("service", ["postgres", "migrate", "api", "worker"])
def test_every_container_has_as_few_rights_as_it_can_do_with(service: str) -> None:
    definition = compose_services()[service]
    assert definition["read_only"] is True
    assert definition["cap_drop"] == ["ALL"]
    assert definition["security_opt"] == ["no-new-privileges:true"]
    assert "/tmp" in definition["tmpfs"]
    assert "privileged" not in definition


def test_the_api_and_the_worker_start_after_the_migrations() -> None:
    services = compose_services()
    assert services["migrate"]["depends_on"] == {"postgres": {"condition": "service_healthy"}}
    for service in ("api", "worker"):
        assert services[service]["depends_on"] == {"migrate": {"condition": "service_completed_successfully"}}
    assert all(port.startswith("127.0.0.1:") for port in services["api"]["ports"])
    assert "ports" not in services["postgres"]
