"""The service's own clients, led to an API of the tests."""

from __future__ import annotations

import json
from typing import Any

from alibabacloud_fnf20190315.client import Client
from alibabacloud_tea_openapi.utils_models import Config
from aliyunsdkcore.client import AcsClient

from tests.api.serving import Stack

REGION = "cn-hangzhou"


def client_of_service(stack: Stack, key: str = "admin-key", secret: str = "admin-secret") -> Client:
    """The newer client."""
    config = Config(
        access_key_id=key,
        access_key_secret=secret,
        endpoint=stack.api.address,
        protocol="http",
        region_id=REGION,
    )
    return Client(config)


def old_client() -> AcsClient:
    """The older client; `ask` has it ask."""
    return AcsClient("admin-key", "admin-secret", REGION)


def ask(stack: Stack, client: AcsClient, module: Any, **fields: str) -> dict[str, Any]:
    """The answer to the one request that a module of the older client is for."""
    request = getattr(module, module.__name__.rpartition(".")[2])()
    request.set_endpoint(stack.api.address)
    request.set_protocol_type("http")  # StartSyncExecution would take HTTPS
    for name, value in fields.items():
        getattr(request, f"set_{name}")(value)
    answer: dict[str, Any] = json.loads(client.do_action_with_exception(request))
    assert answer["RequestId"]
    return answer
