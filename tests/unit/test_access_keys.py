"""Access keys: made, found, listed and taken away; roles that cover each other."""

from __future__ import annotations

from dataclasses import replace

import pytest
from pydantic import SecretStr
from redis import Redis

from engine.config import Settings
from engine.errors import AccessDenied, AccessKeyNotExists, InvalidArgument
from engine.runtime.access_keys import AccessKeys, Role
from engine.runtime.runtime import Runtime
from engine.runtime.tokens import Tokens
from tests.driven import make_runtime

ENVIRONMENT = "tester:swordfish, viewer:secret:viewer"


def keys_of(
    redis: Redis, api_keys: str | None = None, token_secret: str = "a secret"
) -> AccessKeys:
    settings = Settings(api_keys=SecretStr(api_keys) if api_keys else None)
    runtime: Runtime = make_runtime(redis, settings)
    return AccessKeys(replace(runtime, tokens=Tokens(token_secret)))


def test_a_key_is_found_with_the_secret_that_was_shown(any_redis: Redis) -> None:
    keys = keys_of(any_redis)
    made = keys.create("operator", "the night shift")
    assert keys.find(made.id) == made
    assert (made.role, len(made.id)) == (Role.OPERATOR, 20)
    assert keys.find("PKNOBODY") is None


def test_every_key_has_a_secret_of_its_own(any_redis: Redis) -> None:
    keys = keys_of(any_redis)
    made = [keys.create("viewer") for _ in range(20)]
    assert len({key.secret for key in made}) == len({key.id for key in made}) == 20
    assert all(len(key.secret) >= 43 for key in made)


def test_a_secret_is_neither_stored_nor_shown_again(any_redis: Redis) -> None:
    keys = keys_of(any_redis)
    made = keys.create("admin")
    kept = str(any_redis.hgetall("penstock:keys"))
    assert made.secret not in kept
    assert made.secret not in repr(made)
    assert [key.secret for key in keys.list()] == [""]


def test_a_deleted_key_is_gone_at_once(any_redis: Redis) -> None:
    keys = keys_of(any_redis)
    made = keys.create("viewer")
    keys.delete(made.id)
    assert keys.find(made.id) is None and not keys.any()
    with pytest.raises(AccessKeyNotExists):
        keys.delete(made.id)


def test_keys_of_the_environment_stand_beside_the_stored_ones(any_redis: Redis) -> None:
    keys = keys_of(any_redis, ENVIRONMENT)
    made = keys.create("approver", "stored")
    found = keys.find("tester")
    assert found is not None and (found.secret, found.role) == ("swordfish", Role.ADMIN)
    listed = [(key.id, key.role, key.secret) for key in keys.list()]
    assert listed == [("tester", "admin", ""), ("viewer", "viewer", ""), (made.id, "approver", "")]


def test_a_key_of_another_token_secret_says_so(any_redis: Redis) -> None:
    made = keys_of(any_redis).create("admin")
    with pytest.raises(AccessDenied, match="PENSTOCK_TOKEN_SECRET"):
        keys_of(any_redis, token_secret="another").find(made.id)


@pytest.mark.parametrize("text", ["swordfish", "id:", ":swordfish", "id:swordfish:king", "a:b:c:d"])
def test_an_environment_that_cannot_be_read_is_refused_without_being_shown(
    any_redis: Redis, text: str
) -> None:
    with pytest.raises(InvalidArgument, match="PENSTOCK_API_KEYS") as refused:
        keys_of(any_redis, text).any()
    assert "swordfish" not in str(refused.value)


def test_roles_cover_those_before_them() -> None:
    covered = {role: [each for each in Role if role.covers(each)] for role in Role}
    assert [len(roles) for roles in covered.values()] == [1, 2, 3, 4]
    assert Role.APPROVER.covers(Role.OPERATOR) and not Role.VIEWER.covers(Role.OPERATOR)


def test_an_id_that_is_no_text_is_refused(any_redis: Redis) -> None:
    keys = keys_of(any_redis)
    for ask in (keys.find, keys.delete):
        with pytest.raises(InvalidArgument, match="surrogate"):
            ask("\ud800")


def test_a_role_that_there_is_not_is_refused(any_redis: Redis) -> None:
    with pytest.raises(InvalidArgument, match="no role 'king'"):
        keys_of(any_redis).create("king")
