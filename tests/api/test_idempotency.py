"""`Idempotency-Key` on a POST."""

from collections.abc import Callable
from datetime import timedelta

import gevent
import pytest
from sqlalchemy import select, update
from werkzeug.test import TestResponse

from irisx.kernel.clock import now
from irisx.kernel.db import transaction
from irisx.tenancy import api_keys, idempotency
from irisx.tenancy.models import IdempotencyKey, Tenant
from tests.api.client import ApiClient
from tests.waiting import wait_until

NEW = {"name": "Key", "permissions": ["calls:read"]}


def post(client: ApiClient, body: object = NEW, key: str = "once") -> TestResponse:
    return client.request("POST", "/v1/api-keys", json=body, headers={"Idempotency-Key": key})


def count(tenant: Tenant) -> int:
    return api_keys.list_page(tenant.id, limit=1, offset=0)[1]


def test_a_repeated_post_is_carried_out_once(client: ApiClient, tenant: Tenant) -> None:
    first, second = post(client), post(client)
    assert (first.status_code, second.status_code) == (201, 201)
    assert second.data == first.data
    assert "Idempotency-Replayed" not in first.headers
    assert second.headers["Idempotency-Replayed"] == "true"
    assert count(tenant) == 2  # the client's own, and one


def test_the_kept_answer_is_no_plain_secret(client: ApiClient) -> None:
    secret = post(client).get_json()["key"]
    with transaction() as session:
        [row] = session.scalars(select(IdempotencyKey))
    assert row.body
    assert secret not in row.body


def test_the_same_key_with_another_request_is_refused(client: ApiClient) -> None:
    post(client)
    other = post(client, NEW | {"name": "Other"})
    assert (other.status_code, other.get_json()["code"]) == (400, "IDEMPOTENCY_KEY_REUSED")


def test_keys_of_tenants_are_apart(
    client_for: Callable[..., ApiClient], make_tenant: Callable[..., Tenant]
) -> None:
    one, other = client_for(make_tenant("One")), client_for(make_tenant("Other"))
    assert post(one).get_json()["id"] != post(other).get_json()["id"]


def test_a_failed_request_may_be_tried_again_with_its_key(client: ApiClient) -> None:
    bad = NEW | {"permissions": ["calls:fly"]}
    assert post(client, bad).status_code == 400
    assert post(client).status_code == 201


def test_while_the_first_is_under_way_the_second_is_refused(
    client: ApiClient, tenant: Tenant, monkeypatch: pytest.MonkeyPatch
) -> None:
    entered, release = gevent.event.Event(), gevent.event.Event()
    create = api_keys.create

    def slowly(*args: object, **kwargs: object) -> object:
        entered.set()
        release.wait(10)
        return create(*args, **kwargs)

    monkeypatch.setattr(api_keys, "create", slowly)
    first = gevent.spawn(post, client)
    assert entered.wait(5)
    second = post(client)
    assert (second.status_code, second.get_json()["code"]) == (409, "IDEMPOTENCY_KEY_IN_USE")
    release.set()
    assert first.get(timeout=5).status_code == 201
    assert count(tenant) == 2


def test_a_request_of_a_process_that_died_does_not_block_for_ever(client: ApiClient) -> None:
    def died(*_: object) -> None:
        """The process was killed before it could keep its answer."""

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(idempotency, "finish", died)
        post(client)
    assert post(client).status_code == 409
    _age(idempotency.ABANDONED)
    assert post(client).status_code == 201


def test_after_a_day_the_key_is_free_again(client: ApiClient) -> None:
    first = post(client)
    _age(idempotency.KEPT)
    assert idempotency.forget_old() == 1
    wait_until(lambda: post(client).get_json()["id"] != first.get_json()["id"], 1)


@pytest.mark.parametrize("key", ["", "a b", "x" * 256, "é"])
def test_a_key_is_a_plain_token(client: ApiClient, key: str) -> None:
    response = post(client, key=key)
    assert response.status_code == 400
    assert response.get_json()["details"][0]["field"] == "Idempotency-Key"


def _age(by: timedelta) -> None:
    """As if every kept answer were older."""
    with transaction() as session:
        session.execute(update(IdempotencyKey).values(created_at=now() - by - timedelta(seconds=1)))
