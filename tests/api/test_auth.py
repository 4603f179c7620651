"""Who a request is from."""

from collections.abc import Callable, Iterator
from datetime import timedelta

import jwt
import pytest
from flask import Flask

from irisx.kernel.clock import now
from irisx.kernel.crypto import derive_key
from irisx.tenancy import admins, passwords, users
from irisx.tenancy.access import SYSTEM
from irisx.tenancy.models import AdminRole, Tenant, User
from tests.api.client import ApiClient

PASSWORD = "correct horse battery"


@pytest.fixture
def user(tenant: Tenant) -> User:
    return users.create(
        SYSTEM,
        tenant.id,
        email="Ann@Example.com",
        name="Ann",
        password=PASSWORD,
        permissions=["users:read", "users:write"],
    )


def sign_in(anonymous: ApiClient, **fields: object) -> str:
    login = {"email": "ann@example.com", "password": PASSWORD} | fields
    return str(anonymous.post("/v1/auth/login", login)["token"])


def test_a_user_signs_in_and_works_by_token(
    app: Flask, anonymous: ApiClient, user: User, tenant: Tenant
) -> None:
    ann = ApiClient(app, bearer=sign_in(anonymous))
    seen = ann.get(f"/v1/users/{user.public_id}")
    assert seen["email"] == "ann@example.com"
    assert seen["last_login_at"] is not None
    assert ann.get("/v1/api-keys", status=403)["code"] == "PERMISSION_DENIED"


@pytest.mark.parametrize(
    "fields",
    [{"password": "wrong"}, {"email": "bob@example.com"}, {"tenant_id": "ten_999"}],
    ids=str,
)
def test_wrong_credentials_do_not_say_what_was_wrong(
    anonymous: ApiClient, user: User, fields: dict[str, str]
) -> None:
    login = {"email": "ann@example.com", "password": PASSWORD} | fields
    assert anonymous.post("/v1/auth/login", login, status=401)["code"] == "INVALID_CREDENTIALS"


def test_one_e_mail_in_two_tenants_needs_the_tenant(
    anonymous: ApiClient, user: User, make_tenant: Callable[..., Tenant]
) -> None:
    other = make_tenant("Other")
    users.create(
        SYSTEM,
        other.id,
        email="ann@example.com",
        name="Ann",
        password=PASSWORD,
        permissions=[],
    )
    login = {"email": "ann@example.com", "password": PASSWORD}
    anonymous.post("/v1/auth/login", login, status=401)
    sign_in(anonymous, tenant_id=other.public_id)


def test_guessing_a_password_is_slowed_down(anonymous: ApiClient, user: User) -> None:
    wrong = {"email": "ann@example.com", "password": "wrong"}
    statuses = [
        anonymous.request("POST", "/v1/auth/login", json=wrong).status_code
        for _ in range(passwords.ATTEMPTS + 1)
    ]
    assert statuses == [401] * passwords.ATTEMPTS + [429]


def test_a_new_password_ends_sessions_and_so_does_being_disabled(
    app: Flask, anonymous: ApiClient, client: ApiClient, user: User
) -> None:
    ann = ApiClient(app, bearer=sign_in(anonymous))
    client.put(f"/v1/users/{user.public_id}", {"password": PASSWORD + "2"})
    ann.get("/v1/users", status=401)
    ann = ApiClient(app, bearer=sign_in(anonymous, password=PASSWORD + "2"))
    client.put(f"/v1/users/{user.public_id}", {"active": False})
    ann.get("/v1/users", status=401)


def _token(user: User, **changes: object) -> str:
    moment = now()
    claims = {
        "aud": "irisx:tenant",
        "sub": user.public_id,
        "pwd": "x",
        "exp": moment + timedelta(hours=1),
    } | changes
    return jwt.encode(claims, derive_key("jwt"), algorithm="HS256")


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"exp": now() - timedelta(seconds=1)}, "TOKEN_EXPIRED"),
        ({"aud": "irisx:admin"}, "INVALID_API_KEY"),
        ({"sub": "usr_9999"}, "INVALID_API_KEY"),
        ({"pwd": "another"}, "INVALID_API_KEY"),
    ],
)
def test_tokens_that_are_not_valid(
    app: Flask, user: User, changes: dict[str, object], code: str
) -> None:
    client = ApiClient(app, bearer=_token(user, **changes))
    assert client.get("/v1/users", status=401)["code"] == code


def test_an_unsigned_token_is_refused(app: Flask, user: User) -> None:
    claims = {"aud": "irisx:tenant", "sub": user.public_id, "pwd": "x", "exp": 9999999999}
    forged = jwt.encode(claims, None, algorithm="none")
    ApiClient(app, bearer=forged).get("/v1/users", status=401)


def test_nobody_changes_a_user_who_may_do_more(
    client_for: Callable[..., ApiClient], tenant: Tenant, user: User
) -> None:
    narrow = client_for(tenant, "users:write")
    narrow.put(f"/v1/users/{user.public_id}", {"password": "a new long password"}, status=403)
    narrow.delete(f"/v1/users/{user.public_id}", status=403)


# --- administrators ---------------------------------------------------------------------------


@pytest.fixture
def viewer(app: Flask, anonymous: ApiClient) -> Iterator[ApiClient]:
    admins.create(
        SYSTEM, email="eve@example.com", name="Eve", password=PASSWORD, role=AdminRole.VIEWER
    )
    login = {"email": "eve@example.com", "password": PASSWORD}
    yield ApiClient(app, bearer=anonymous.post("/admin/auth/login", login)["token"])


def test_a_viewer_reads_and_changes_nothing(viewer: ApiClient) -> None:
    viewer.get("/admin/tenants")
    assert viewer.post("/admin/tenants", {"name": "X"}, status=403)["code"] == "PERMISSION_DENIED"


def test_tokens_of_tenants_and_administrators_are_not_each_other_s(
    app: Flask, anonymous: ApiClient, viewer: ApiClient, user: User
) -> None:
    viewer.get("/v1/users", status=401)
    ann = ApiClient(app, bearer=sign_in(anonymous))
    assert ann.get("/admin/tenants", status=401)["code"] == "INVALID_ADMIN_TOKEN"


def test_an_administrator_can_not_delete_itself(
    app: Flask, admin: ApiClient, anonymous: ApiClient
) -> None:
    new = {"email": "root@example.com", "name": "Root", "password": PASSWORD}
    created = admin.post("/admin/users", new, status=201)
    admin.post("/admin/users", new, status=409)
    login = {"email": new["email"], "password": PASSWORD}
    root = ApiClient(app, bearer=anonymous.post("/admin/auth/login", login)["token"])
    fault = root.delete(f"/admin/users/{created['id']}", status=409)
    assert fault["code"] == "CANNOT_DELETE_SELF"
    admin.delete(f"/admin/users/{created['id']}")
    root.get("/admin/users", status=401)
