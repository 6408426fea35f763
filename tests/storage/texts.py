"""Values that a storage might bend: what goes in must come out the same."""

from __future__ import annotations

import json
from typing import Final

JSON_TEXTS: Final = {
    "an integer of 2^60 + 1": str(2**60 + 1),
    "an integer of 400 digits": "7" * 400,
    "a float that is whole": "1.0",
    "a float written long": "[0.1000000000000000055511151231257827, 1E400, -0.0, 1e-7]",
    "an empty array": "[]",
    "an empty object": "{}",
    "an empty string": '""',
    "null": "null",
    "true": "true",
    "the word null": '"null"',
    "letters of many scripts": json.dumps("Zażółć gęślą jaźń 漢字 🐘 \u202e", ensure_ascii=False),
    "escapes": r'"\u00e9 \ud83d\ude00 \/ \\ \" \n \t"',
    "an escaped NUL": r'{"zero": "\u0000"}',
    "spaces and order": '{ "b" : 1,  "a":2 ,"B": [ 1,2 ]}',
    "a repeated name": '{"a":1,"a":2}',
    "quotes and semicolons": json.dumps("'); drop table job; -- :at $1 %s {x}"),
    "64 levels": "[" * 64 + "]" * 64,
    "500 levels": '{"a":' * 500 + "1" + "}" * 500,
    "250 KiB": json.dumps({"text": "x€" * 64_000}, ensure_ascii=False),
}

TAGS: Final = {
    "quotes": ('say "hi"', "it's", "``"),
    "backslashes": ("\\", "a\\b", '\\"', "\\\\n"),
    "commas and braces": ("a,b", "{}", "{a}", "}", "{", ","),
    "words of SQL": ("NULL", "null", "Null", "true", "default"),
    "spaces": (" ", " a", "a ", "a\tb", "a\nb"),
    "scripts": ("żółć", "漢字", "🐘", "e\u0301", "\u00e9"),
    "letter case": ("A", "a"),
    "placeholders": (":at", "$1", "%s", "%(x)s", ":ids"),
    "order": ("z", "a", "m"),
    "long ones": tuple(f"{n:02}" + "€" * 198 for n in range(50)),
    "an empty one": ("", "a"),
}
