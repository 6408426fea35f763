"""Writes the OpenAPI document to openapi/openapi.json; `--check` only says whether it is current."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from app.main import create_app
from dataqueue.settings import Settings

TARGET: Final = Path(__file__).parent.parent / "openapi" / "openapi.json"


def rendered() -> str:
    """The document as it is written."""
    return json.dumps(create_app(Settings()).openapi(), indent=2, ensure_ascii=False) + "\n"


def main(argv: Sequence[str] | None = None) -> int:
    """Write or check; 1 when the check fails."""
    parser = argparse.ArgumentParser(prog="python -m app.export_openapi", description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing; fail when the file is not current")
    document = rendered()
    if not parser.parse_args(argv).check:
        TARGET.parent.mkdir(exist_ok=True)
        TARGET.write_text(document, encoding="utf-8")
        return 0
    if TARGET.is_file() and TARGET.read_text(encoding="utf-8") == document:
        return 0
    print("openapi/openapi.json is not current: run `make openapi`.", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main())
