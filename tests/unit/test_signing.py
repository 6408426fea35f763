"""Standard Webhooks: the specification's vector, its library, and what must not verify."""

from __future__ import annotations

from base64 import b64decode, b64encode
from datetime import UTC, datetime
from typing import Any

import pytest
import standardwebhooks
from hypothesis import given
from hypothesis import strategies as st

from dataqueue.errors import Invalid, InvalidSignature
from dataqueue.webhooks.signing import new_secret, parse_secret, secret_text, sign, verify

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
KEY = b64decode(SECRET.removeprefix("whsec_"))
ID, AT, BODY = "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, b'{"test": 2432232314}'
SIGNATURE = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="
# The same text, signed with an ed25519 key: a version that we do not speak.
ASYMMETRIC = "v1a,hnO3f9T8Ytu9HwrXslvumlUpqtNVqkhqw/enGzPCXe5BdqzCInXqYXFymVJaA7AZdpXwVLPo3mNl8EM+m7TBAg=="
OTHER = bytes(range(32))


def check(signatures: str = SIGNATURE, **changes: Any) -> None:
    values: dict[str, Any] = {"id": ID, "timestamp": str(AT), "body": BODY, "secrets": [KEY], "now": AT, **changes}
    verify(values["secrets"], values["id"], values["timestamp"], signatures, values["body"], now=values["now"])


def test_the_vector_of_the_specification_is_signed_and_verified() -> None:
    assert sign([parse_secret(SECRET)], ID, AT, BODY) == SIGNATURE
    check()


def test_while_secrets_rotate_both_sign_and_the_new_one_comes_first() -> None:
    both = sign([OTHER, KEY], ID, AT, BODY)
    assert both == f"{sign([OTHER], ID, AT, BODY)} {SIGNATURE}"
    check(both)
    check(both, secrets=[OTHER])
    check(secrets=[OTHER, KEY])


@pytest.mark.parametrize(
    "signatures",
    [
        *(f"{ASYMMETRIC} {SIGNATURE}", f"{SIGNATURE} {ASYMMETRIC}", f"v2,x {SIGNATURE}", f"v1 x v1,\u00e9 {SIGNATURE}"),
        *(f"v1,AAAA {SIGNATURE}", f"  {SIGNATURE} ", f"{SIGNATURE},v1 {SIGNATURE}"),
    ],
)
def test_entries_of_other_versions_and_forms_are_passed_over(signatures: str) -> None:
    check(signatures)


@pytest.mark.parametrize(
    "signatures",
    [
        *("", " ", "v1", "v1,", "x", "v1,\u00e9", "v1,\udcff", ",", ASYMMETRIC, SIGNATURE.removeprefix("v1,")),
        *(SIGNATURE.replace("v1,", "v1a,"), SIGNATURE.replace("v1,", "V1,"), SIGNATURE.replace("v1,", "v2,")),
        *(SIGNATURE[:-1], SIGNATURE + "=", SIGNATURE.replace("+", "-"), SIGNATURE.swapcase(), SIGNATURE + "\n"),
    ],
)
def test_what_is_no_signature_of_ours_is_refused(signatures: str) -> None:
    with pytest.raises(InvalidSignature, match="no signature"):
        check(signatures)


@pytest.mark.parametrize(
    "changes",
    [
        {"id": "msg_other"},
        {"id": ""},
        {"id": f"{ID}.{AT}"},
        {"body": BODY + b" "},
        {"body": b""},
        {"secrets": [OTHER]},
        {"secrets": []},
        {"timestamp": str(AT + 1)},
        {"timestamp": f"0{AT}"},
        {"timestamp": f"{AT}.0"},
        {"timestamp": f" {AT}"},
        {"timestamp": f"+{AT}"},
        {"timestamp": "\u0661\u0666"},
        {"timestamp": ""},
        {"timestamp": "9" * 400},
        {"timestamp": "nan"},
        {"now": AT + 301},
        {"now": AT - 301},
    ],
)
def test_what_was_not_signed_like_that_or_not_just_now_is_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(InvalidSignature):
        check(**changes)


@pytest.mark.parametrize("now", [AT - 300, AT + 300, AT + 299.9])
def test_clocks_may_differ_by_five_minutes_either_way(now: float) -> None:
    check(now=now)


@pytest.mark.parametrize("place", range(len("g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=")))
def test_every_character_counts(place: int) -> None:
    text = SIGNATURE.removeprefix("v1,")
    with pytest.raises(InvalidSignature):
        check("v1," + text[:place] + ("A" if text[place] != "A" else "B") + text[place + 1 :])


def test_a_new_secret_is_of_32_bytes_and_no_other_is_the_same() -> None:
    made = {new_secret() for _ in range(50)}
    assert len(made) == 50
    assert {len(parse_secret(text)) for text in made} == {32}


@pytest.mark.parametrize("size", [24, 25, 26, 32, 63, 64])
def test_a_secret_of_24_to_64_bytes_is_read(size: int) -> None:
    assert parse_secret(secret_text(bytes(size))) == bytes(size)


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        ("", "begins with"),
        (SECRET.removeprefix("whsec_"), "begins with"),
        (SECRET.replace("whsec_", "WHSEC_"), "begins with"),
        (SECRET.replace("whsec_", "whsk_"), "begins with"),
        (f" {SECRET}", "begins with"),
        (f"{SECRET}\n", "base64"),
        (SECRET[:-1], "base64"),
        (SECRET + "=", "base64"),
        (SECRET.replace("r", "-"), "base64"),
        (SECRET.replace("r", "\u00e9"), "base64"),
        (secret_text(bytes(25)).rstrip("="), "base64"),
        # The last character has bits that stand for nothing.
        (secret_text(bytes(25)).replace("A==", "B=="), "base64"),
        ("whsec_", "24 to 64"),
        (secret_text(bytes(23)), "24 to 64"),
        (secret_text(bytes(65)), "24 to 64"),
    ],
)
def test_any_other_secret_is_refused_by_name_of_the_rule_and_not_shown(text: str, rule: str) -> None:
    with pytest.raises(Invalid, match=rule) as raised:
        parse_secret(text)
    assert raised.value.loc == ("secret",)
    assert len(text) < 10 or text.removeprefix("whsec_").strip() not in str(raised.value)


@pytest.mark.parametrize(("secrets", "id"), [([KEY], ""), ([KEY], "a.b"), ([], ID)])
def test_what_would_be_signed_ambiguously_or_by_nobody_is_not_signed(secrets: list[bytes], id: str) -> None:
    with pytest.raises(Invalid):
        sign(secrets, id, AT, BODY)


@given(
    keys=st.lists(st.binary(min_size=24, max_size=64), min_size=1, max_size=3, unique=True),
    id=st.text(st.characters(codec="ascii", exclude_categories=["Cc"], exclude_characters=". "), min_size=1),
    body=st.text().map(str.encode),
)
def test_the_library_of_the_specification_agrees(keys: list[bytes], id: str, body: bytes) -> None:
    now = int(datetime.now(UTC).timestamp())
    header = sign(keys, id, now, body)
    headers = {"webhook-id": id, "webhook-timestamp": str(now), "webhook-signature": header}
    for key in keys:
        theirs = standardwebhooks.Webhook(secret_text(key))
        assert theirs.verify(body, headers, json_parse=False) is None
        signed = theirs.sign(id, datetime.fromtimestamp(now, UTC), body.decode())
        assert signed in header.split(" ")
        verify([key], id, str(now), signed, body, now=now)
    stranger = standardwebhooks.Webhook(b64encode(bytes(24)).decode())
    if bytes(24) not in keys:
        with pytest.raises(standardwebhooks.WebhookVerificationError):
            stranger.verify(body, headers, json_parse=False)
