"""What only the operations on SIP accounts do; who may use them is in the access matrix."""

from tests.api.client import ApiClient


def test_an_account_has_the_mailbox_it_was_given(client: ApiClient) -> None:
    own = client.post("/v1/sip-accounts", {"name": "Ann"}, status=201)
    shared = client.post("/v1/sip-accounts", {"name": "Bo", "mailbox": "sales"}, status=201)
    listed = client.get("/v1/sip-accounts")["data"]["sip_accounts"]
    assert {each["id"]: each["mailbox"] for each in listed} == {
        own["id"]: None,
        shared["id"]: "sales",
    }


def test_a_mailbox_has_a_plain_name(client: ApiClient) -> None:
    answer = client.post("/v1/sip-accounts", {"name": "Ann", "mailbox": "a b"}, status=400)
    assert [fault["field"] for fault in answer["details"]] == ["mailbox"]
