"""Replies of API commands, word for word as FreeSWITCH 1.10.12 gave them."""

import json

import pytest

from tests.sandbox.client import Client, parse_event

NO_CHANNEL = "-ERR No such channel!\n"
NO_SESSION = "-ERR Cannot locate session!\n"

# `A` is a live leg.
REPLIES = [
    ("bogus x", "-ERR bogus Command not found!\n"),
    ("uuid_exists A", "true"),
    ("uuid_exists x", "false"),
    ("uuid_exists", "false"),
    ("uuid_getvar A nothing", "_undef_"),
    ("uuid_getvar x nothing", NO_CHANNEL),
    ("uuid_getvar", "-USAGE: <uuid> <var>\n"),
    ("uuid_setvar A q 1", "+OK\n"),
    ("uuid_getvar A q", "1"),
    ("uuid_setvar A q", "+OK\n"),
    ("uuid_getvar A q", "_undef_"),
    ("uuid_setvar x q 1", NO_CHANNEL),
    ("uuid_setvar", "-USAGE: <uuid> <var> [value]\n"),
    ("uuid_setvar_multi A m=1;n=2;o", "+OK\n"),
    ("uuid_getvar A n", "2"),
    ("uuid_getvar A o", "2"),
    ("uuid_kill x", NO_CHANNEL),
    ("uuid_kill", "-USAGE: <uuid> [cause]\n"),
    ("uuid_bridge A x", "-ERR Invalid uuid\n"),
    ("uuid_bridge A", "-USAGE: <uuid> <other_uuid>\n"),
    ("uuid_transfer x y", NO_CHANNEL),
    (
        "uuid_transfer",
        "-USAGE: <uuid> [-bleg|-both] <dest-exten> [<dialplan>] [<context>]\n",
    ),
    ("uuid_answer A", "+OK\n"),
    ("uuid_answer x", "-ERROR\n"),
    ("uuid_break x", NO_CHANNEL),
    ("uuid_break", "-USAGE: <uuid> [all]\n"),
    ("uuid_record x start /z.wav", NO_SESSION),
    ("uuid_audio A start read mute -4", "+OK\n"),
    ("uuid_audio A stop", "+OK\n"),
    ("uuid_audio x stop", NO_CHANNEL),
    ("uuid_send_dtmf A 12", "+OK A sent DTMF 12.\n"),
    ("uuid_send_dtmf x 1", NO_SESSION),
    ("uuid_recv_dtmf A 12@100", "+OK A received DTMF 12@100.\n"),
    ("uuid_recv_dtmf", "-USAGE: <uuid> <dtmf_data>\n"),
    ("uuid_flush_dtmf A", "+OK\n"),
    ("uuid_flush_dtmf x", "-ERR No such session\n"),
    ("uuid_hold x", "+OK Success\n"),
    ("uuid_hold", "-USAGE: [off|toggle] <uuid> [<display>]\n-ERR Operation failed\n"),
    ("uuid_broadcast x a", "-ERR invalid uuid\n"),
    ("uuid_displace x start a", NO_SESSION),
    ("uuid_park x", NO_CHANNEL),
    ("uuid_dump x", NO_CHANNEL),
    ("uuid_dump", "-USAGE: <uuid> [format]\n"),
    ("sched_hangup +100 A allotted_timeout", "+OK\n"),
    ("sched_transfer +100 A park inline", "+OK\n"),
    ("sched_del A", "+OK Deleted: 2\n"),
    ("sched_del x", "+OK Deleted: 0\n"),
    ("sched_hangup", "-USAGE: [+]<time> <uuid> [<cause>]\n"),
    ("sched_api", "-ERR Invalid syntax. USAGE: [+@]<time> <group_name> <command_string>[&]\n"),
    ("hash insert/r/k/v", "+OK\n"),
    ("hash select/r/k", "v"),
    ("hash select/r/no", "-ERR no reply\n"),
    ("hash_dump db r", "D/r_k/v\n"),
    ("hash delete/r/k", "+OK\n"),
    ("hash delete/r/k", "-ERR Not found\n"),
    ("hash_dump hash", "Usage: all|limit|db [<realm>]\n"),
    ("limit_usage hash r id", "0"),
    ("sofia profile sandbox rescan", "Reload XML [Success]\n+OK scan complete\n"),
    ("reloadacl", "+OK acl reloaded\n"),
    ("reloadxml", "+OK [Success]\n"),
    ("fsctl api_expansion", "+OK api_expansion is off \n"),
    ("fsctl sps", "+OK sessions per second: 300\n"),
    ("fsctl max_sessions", "+OK max sessions: 1000\n"),
    ("fsctl pause_check", "false"),
    ("global_setvar zz=1", "+OK"),
    ("global_getvar zz", "1"),
    ("global_getvar none", "-ERR no reply\n"),
    ("module_exists mod_sofia", "true"),
    ("module_exists mod_x", "false"),
    ("show calls count as json", '{"row_count":1,"rows":[]}'),
    ("show channels count", "\n1 total.\n"),
]


def test_replies(client: Client) -> None:
    leg = client.parked()
    found = [
        (command, client.api(command.replace("A", leg) if "A" in command.split() else command))
        for command, _ in REPLIES
    ]
    assert [(command, reply.replace(leg, "A")) for command, reply in found] == REPLIES


def test_a_dump_holds_what_the_events_hold(client: Client) -> None:
    leg = client.parked(variables="irisx_tenant_id=t1")
    plain = parse_event(client.api(f"uuid_dump {leg}").encode())
    assert plain["Event-Name"] == "CHANNEL_DATA"
    assert plain["Unique-ID"] == leg
    assert plain["variable_irisx_tenant_id"] == "t1"
    assert plain["variable_read_codec"] == "PCMU"
    as_json = json.loads(client.api(f"uuid_dump {leg} json"))
    assert set(plain) - {"_body"} == set(as_json)


def test_show_names_every_channel(client: Client) -> None:
    legs = {client.parked() for _ in range(2)}
    rows = json.loads(client.api("show channels as json"))["rows"]
    assert {row["uuid"] for row in rows} >= legs
    assert {row["callstate"] for row in rows if row["uuid"] in legs} == {"ACTIVE"}
    assert {row["state"] for row in rows if row["uuid"] in legs} == {"CS_EXECUTE"}


def test_a_bridge_is_one_call(client: Client) -> None:
    first, second = client.parked(), client.parked()
    client.api(f"uuid_bridge {first} {second}")
    client.wait("CHANNEL_BRIDGE", first)
    rows = json.loads(client.api("show calls as json"))["rows"]
    assert [row["b_uuid"] for row in rows if row["uuid"] == first] == [second]


def test_a_scheduled_command_runs(client: Client) -> None:
    assert client.api("sched_api +1 none global_setvar later=yes").startswith("+OK Added: ")
    client.until(lambda event: event.get("API-Command") == "global_setvar")
    assert client.api("global_getvar later") == "yes"


@pytest.mark.parametrize("when", ["", "x", "-5", "+", "1e3"])
def test_a_time_that_is_none_schedules_nothing(client: Client, when: str) -> None:
    leg = client.parked()
    client.api(f"sched_hangup {when} {leg}")
    assert client.api(f"sched_del {leg}") == "+OK Deleted: 0\n"
