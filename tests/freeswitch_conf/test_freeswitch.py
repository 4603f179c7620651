"""freeswitch-conf/ and dialplans/ on a real FreeSWITCH, called by sipp."""

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote
from uuid import UUID

import numpy as np
import psutil
import pytest

from irisx.telephony import missed, provisioning
from irisx.telephony.missed import Ingress, parse_missed
from irisx.telephony.provisioning import CarrierAddress, Gateway, SipUser
from tests.provisioner import Provisioner
from tests.sipp import Sipp, call, needs_sipp
from tests.switches import FreeSwitch, free_ports, needs_freeswitch
from tests.waiting import wait_until

pytestmark = [needs_freeswitch, needs_sipp]

CARRIER = "127.0.0.2"
STRANGER = "127.0.0.3"
MODULES = (
    *("event_socket", "sofia", "commands", "dptools", "dialplan_xml", "loopback", "conference"),
    *("sndfile", "native_file", "local_stream", "tone_stream", "spandsp", "avmd", "hash"),
    *("xml_curl", "verto"),
)
HOSTILE = (
    "${system(touch TRAP)}",
    "$${irisx_esl_password}",
    "a\nD/irisx_missed_00000000-0000-4000-8000-000000000000/1|carrier|1|||x|1|2",
    "a\\nD/irisx_missed_00000000-0000-4000-8000-000000000000/1|carrier|1|||x|1|2",
    "'/|/'",
)
AGENT = SipUser("agent-1", "p$${irisx_esl_password}\"<&'w", tenant_id="t-1", agent_id="a-1")


@pytest.fixture(scope="module")
def api() -> Iterator[Provisioner]:
    with Provisioner() as provisioner:
        provisioner.addresses = [CarrierAddress(CARRIER)]
        provisioner.users = {AGENT.username: AGENT}
        yield provisioner


@pytest.fixture(scope="module")
def switch(api: Provisioner) -> Iterator[FreeSwitch]:
    with FreeSwitch(api_url=api.url) as switch:
        yield switch


@pytest.fixture
def carriers(switch: FreeSwitch) -> str:
    return f"{switch.ip}:{switch.sip_port}"


@pytest.fixture
def agents(switch: FreeSwitch) -> str:
    return f"{switch.ip}:{switch.sip_agent_port}"


def parked(switch: FreeSwitch) -> str:
    """The UUID of the one call that waits for an engine."""

    def waiting() -> list[str]:
        found = switch.channels()
        application = "variable_current_application"
        return [each for each in found if switch.variables(each).get(application) == "park"]

    [uuid] = wait_until(waiting)
    return uuid


def notes(switch: FreeSwitch) -> dict[UUID, missed.MissedCall]:
    return {call.uuid: call for call in parse_missed(switch.api(missed.DUMP))}


def take(switch: FreeSwitch, uuid: str) -> None:
    """What an engine does first with a parked call."""
    assert "Deleted: 1" in switch.api(f"sched_del {uuid}")
    switch.api(missed.forget(UUID(uuid)))


def scheduled(switch: FreeSwitch, uuid: str) -> list[str]:
    """Names of what FreeSWITCH will do to the call by itself. Late by some 200 ms."""
    rows = (line.split(",") for line in switch.api("show tasks").splitlines())
    return [row[1] for row in rows if uuid in row]


def level(recording: Path) -> float:
    """Root mean square of 16-bit samples so far; 1 is full scale."""
    if not recording.exists() or recording.stat().st_size < 320:
        return 0
    samples = np.frombuffer(recording.read_bytes(), "<i2")
    return float(np.sqrt(np.mean((samples / 32768) ** 2)))


def listeners(switch: FreeSwitch) -> set[tuple[str, int]]:
    """Address and port of every TCP socket on which FreeSWITCH listens."""
    found = psutil.Process(switch.pid).net_connections("tcp")
    return {(each.laddr.ip, each.laddr.port) for each in found if each.status == "LISTEN"}


class TestStart:
    @pytest.mark.parametrize("module", MODULES)
    def test_every_module_is_loaded(self, switch: FreeSwitch, module: str) -> None:
        assert switch.api(f"module_exists mod_{module}").strip() == "true"

    def test_nothing_was_wrong_at_the_start(self, switch: FreeSwitch) -> None:
        assert "[ERR" not in switch.log_path.read_text()
        assert "[CRIT] switch_loadable" not in switch.log_path.read_text()

    def test_functions_in_text_do_not_run(self, switch: FreeSwitch, tmp_path: Path) -> None:
        assert "off" in switch.api("fsctl api_expansion")
        switch.api(f"expand echo ${{system(touch {tmp_path}/broken-in)}}")
        assert not (tmp_path / "broken-in").exists()

    def test_it_listens_nowhere_else(self, switch: FreeSwitch) -> None:
        ports = switch.esl_port, switch.sip_port, switch.sip_agent_port
        assert listeners(switch) == {(switch.ip, port) for port in ports}

    def test_files_with_secrets_are_nobody_elses(self, switch: FreeSwitch) -> None:
        assert (switch.home / "freeswitch").stat().st_mode & 0o077 == 0

    def test_the_api_is_asked_with_the_shared_secret(
        self, switch: FreeSwitch, api: Provisioner
    ) -> None:
        assert api.credentials == f"freeswitch:{switch.xml_token}"


class TestStrangers:
    def test_a_call_is_refused_at_once(self, carriers: str, switch: FreeSwitch) -> None:
        before = switch.api("hash_dump db")
        assert call(carriers, local_ip=STRANGER).responses == [403]
        assert switch.api("hash_dump db") == before

    def test_a_call_to_the_agents_profile_is_challenged(self, agents: str) -> None:
        assert call(agents, local_ip=STRANGER).responses == [407]

    def test_a_carrier_is_a_stranger_to_the_agents_profile(self, agents: str) -> None:
        assert call(agents, local_ip=CARRIER).responses == [407]

    def test_nobody_registers_with_the_carriers_profile(self, carriers: str) -> None:
        for ip in STRANGER, CARRIER:
            responses = call(
                carriers, "uac_register", local_ip=ip, caller="agent-1", password=AGENT.password
            ).responses
            assert 200 not in responses
            assert responses

    def test_the_software_does_not_give_its_name_away(self, carriers: str, agents: str) -> None:
        for target in carriers, agents:
            for message in call(target, local_ip=STRANGER).messages:
                assert "freeswitch" not in message.lower()


class TestAgents:
    def test_a_wrong_password_is_refused(self, agents: str) -> None:
        result = call(agents, "uac_register", caller="agent-1", password="wrong")
        assert result.responses == [401, 403]

    def test_an_unknown_user_is_refused(self, agents: str) -> None:
        result = call(agents, "uac_register", caller="agent-2", password="any")
        assert result.responses == [401, 403]

    def test_the_right_password_registers_and_the_phone_can_be_called(
        self, agents: str, switch: FreeSwitch
    ) -> None:
        port = free_ports(1)[0]
        result = call(agents, "uac_register", caller="agent-1", password=AGENT.password, port=port)
        assert result.successful == 1
        with Sipp("uas_answer", port=port, hold_ms=100) as phone:
            reply = switch.api("originate sofia/agents/agent-1%irisx &park()")
            assert reply.startswith("+OK")
            switch.api(f"uuid_kill {reply.split()[1]}")
        assert phone.result.successful == 1

    def test_a_call_needs_the_right_password(self, agents: str) -> None:
        result = call(agents, "uac_auth", caller="agent-1", password="wrong")
        assert result.responses == [407, 403]

    def test_a_call_is_parked_with_the_agents_ids(self, agents: str, switch: FreeSwitch) -> None:
        with Sipp("uac_auth", agents, caller="agent-1", password=AGENT.password) as phone:
            uuid = parked(switch)
            variables = switch.variables(uuid)
            assert variables["variable_irisx_ingress"] == "agent"
            assert variables["variable_irisx_agent_id"] == "a-1"
            assert variables["variable_irisx_tenant_id"] == "t-1"
            assert variables["variable_sip_auth_username"] == "agent-1"
            note = notes(switch)[UUID(uuid)]
            assert (note.ingress, note.username) == (Ingress.AGENT, "agent-1")
            take(switch, uuid)
            switch.api(f"uuid_answer {uuid}")
        assert phone.result.successful == 1

    def test_an_agent_cannot_pose_as_a_carrier(
        self, agents: str, switch: FreeSwitch, api: Provisioner
    ) -> None:
        api.trunks = [Gateway("posed", "127.0.0.9")]
        switch.api(provisioning.start_gateways("posed"))
        result = call(
            agents, "uac_auth", caller="agent-1", password=AGENT.password, service="gw+posed"
        )
        switch.api(provisioning.kill_gateway("posed"))
        assert result.responses[-1] == 603


class TestCallsFromCarriers:
    def test_a_call_is_parked_with_what_the_engine_needs(
        self, carriers: str, switch: FreeSwitch
    ) -> None:
        with Sipp("uac_headers", carriers, local_ip=CARRIER) as caller:
            uuid = parked(switch)
            variables = switch.variables(uuid)
            assert variables["variable_irisx_call_id"] == uuid
            assert variables["variable_irisx_direction"] == "inbound"
            assert variables["variable_irisx_ingress"] == "carrier"
            assert variables["variable_sip_network_ip"] == CARRIER
            assert variables["Caller-Destination-Number"] == "+15550100"
            assert variables["variable_sip_identity"].startswith("eyJhbGciOiJFUzI1NiIs.e30.c2ln")
            assert "+15550177" in variables["variable_sip_P-Asserted-Identity"]
            assert "+15550166" in variables["variable_sip_h_Diversion"]
            assert variables["variable_sip_h_X-Call-Id"] == "carrier-7"
            take(switch, uuid)
            switch.api(f"uuid_answer {uuid}")
        assert caller.result.successful == 1

    def test_a_taken_call_is_left_alone(self, carriers: str, switch: FreeSwitch) -> None:
        with Sipp("uac", carriers, local_ip=CARRIER, hold_ms=5000) as caller:
            uuid = parked(switch)
            take(switch, uuid)
            assert UUID(uuid) not in notes(switch)
            wait_until(lambda: scheduled(switch, uuid) == [])
            switch.api(f"uuid_answer {uuid}")
        # The scenario takes no BYE from the switch: it lasted its 5 s and hung up itself.
        assert caller.result.successful == 1

    def test_a_waiting_caller_hears_music(
        self, carriers: str, switch: FreeSwitch, tmp_path: Path
    ) -> None:
        recording = tmp_path / "heard.r8"
        with Sipp("uac", carriers, local_ip=CARRIER, hold_ms=2500) as caller:
            uuid = parked(switch)
            take(switch, uuid)
            switch.api(f"uuid_answer {uuid}")
            switch.api(
                f"uuid_record {uuid} start {recording} 0 "
                "{RECORD_WRITE_ONLY=true,enable_file_write_buffering=false}"
            )
            switch.api(f"uuid_broadcast {uuid} local_stream://moh")
            wait_until(lambda: level(recording) > 0.02)
        assert caller.result.successful == 1

    def test_without_an_engine_the_caller_hears_the_message(
        self, carriers: str, switch: FreeSwitch
    ) -> None:
        begin = time.time()
        with Sipp("uac_stays", carriers, local_ip=CARRIER) as caller:
            uuid = parked(switch)
            caller.wait_for("SIP/2.0 200", 6)
            answered = time.time()
            assert answered - begin < 5.5
        assert caller.result.successful == 1
        # Half a second of silence, then the 4.3 s of the message.
        assert 4 < time.time() - answered < 8
        note = notes(switch)[UUID(uuid)]
        assert (note.caller, note.called) == ("+15550199", "+15550100")
        assert note.source_ip == CARRIER
        assert begin < note.received_at.timestamp() < begin + 2
        switch.api(missed.forget(UUID(uuid)))
        assert UUID(uuid) not in notes(switch)

    def test_a_caller_who_gives_up_first_is_noted_too(
        self, carriers: str, switch: FreeSwitch
    ) -> None:
        with Sipp("uac_cancels", carriers, local_ip=CARRIER, hold_ms=500) as caller:
            uuid = parked(switch)
        assert caller.result.successful == 1
        wait_until(lambda: not switch.channels())
        assert notes(switch)[UUID(uuid)].called == "+15550100"

    @pytest.mark.parametrize("place", ["caller", "caller_name", "extra", "service"])
    @pytest.mark.parametrize("hostile", HOSTILE)
    def test_hostile_text_neither_runs_nor_forges_a_note(
        self, carriers: str, switch: FreeSwitch, tmp_path: Path, place: str, hostile: str
    ) -> None:
        text = hostile.replace("TRAP", f"{tmp_path}/broken-in")
        in_uri = place in ("caller", "service")
        wire = quote(text) if in_uri else text.replace("\n", "%0A")
        before = set(notes(switch))
        options: dict[str, Any] = {"local_ip": CARRIER, "hold_ms": 300, place: wire}
        with Sipp("uac_cancels", carriers, **options) as caller:
            [uuid] = wait_until(lambda: set(notes(switch)) - before)
            variables = switch.variables(str(uuid))
        assert caller.result.successful == 1
        assert variables["variable_irisx_ingress"] == "carrier"
        dump = switch.api(missed.DUMP)
        assert len(dump.strip().splitlines()) == len(parse_missed(dump)) == len(before) + 1
        assert switch.esl_password not in str(variables) + dump
        assert not (tmp_path / "broken-in").exists()


class TestCarriers:
    def test_a_carrier_added_live_is_usable_within_two_seconds(
        self, switch: FreeSwitch, api: Provisioner
    ) -> None:
        newcomer = "127.0.0.4"
        carriers = f"{switch.ip}:{switch.sip_port}"
        with Sipp("uas_answer", local_ip=newcomer, hold_ms=0) as carrier:
            begin = time.monotonic()
            api.addresses = [CarrierAddress(CARRIER), CarrierAddress(newcomer)]
            api.trunks = [Gateway("carrier_1", newcomer, carrier.port)]
            assert provisioning.addresses_are_served(switch.api(provisioning.ADDRESSES_QUERY))
            switch.api(provisioning.RELOAD_ADDRESSES)
            assert "+OK" in switch.api(provisioning.start_gateways("carrier_1"))
            reply = switch.api(
                "originate {origination_caller_id_number=+15550122}"
                "sofia/gateway/carrier_1/+15550111 &park()"
            )
            took = time.monotonic() - begin
            assert reply.startswith("+OK")
            switch.api(f"uuid_kill {reply.split()[1]}")
        assert carrier.result.successful == 1
        assert took < 2
        invite = carrier.result.messages[0]
        assert f"P-Asserted-Identity: <sip:+15550122@{newcomer}>" in invite
        assert f"<sip:+15550122@{newcomer}>;tag=" in invite
        assert "X-FS" not in invite
        with Sipp("uac", carriers, local_ip=newcomer) as caller:
            uuid = parked(switch)
            take(switch, uuid)
            switch.api(f"uuid_answer {uuid}")
        assert caller.result.successful == 1

    def test_a_changed_carrier_is_dialled_at_its_new_address(
        self, switch: FreeSwitch, api: Provisioner
    ) -> None:
        name = "carrier_2"
        api.trunks = [Gateway(name, "127.0.0.5", 1)]
        switch.api(provisioning.start_gateways(name))
        with Sipp("uas_busy", local_ip="127.0.0.5") as carrier:
            api.trunks = [Gateway(name, "127.0.0.5", carrier.port)]
            switch.api(provisioning.kill_gateway(name))
            switch.api(provisioning.start_gateways(name))
            reply = switch.api(f"originate sofia/gateway/{name}/+15550111 &park()")
        assert "USER_BUSY" in reply
        assert carrier.result.successful == 1
        # The old gateway is swept up some seconds later: not the new one with it.
        wait_until(lambda: f"Deleted gateway {name}" in switch.log_path.read_text(), 15)
        assert "127.0.0.5" in switch.api(f"sofia status gateway {name}")

    def test_a_call_to_a_registered_trunk_has_the_called_number(
        self, carriers: str, switch: FreeSwitch, api: Provisioner
    ) -> None:
        api.trunks = [Gateway("carrier_5", CARRIER)]
        switch.api(provisioning.start_gateways("carrier_5"))
        with Sipp(
            "uac_cancels", carriers, local_ip=CARRIER, service="gw+carrier_5", to="+15550188"
        ) as caller:
            uuid = parked(switch)
            variables = switch.variables(uuid)
            assert variables["Caller-Destination-Number"] == "+15550188"
            assert variables["variable_sip_gateway"] == "carrier_5"
        assert caller.result.successful == 1
        note = notes(switch)[UUID(uuid)]
        assert (note.gateway, note.called) == ("carrier_5", "+15550188")

    def test_a_removed_carrier_is_gone(self, switch: FreeSwitch, api: Provisioner) -> None:
        api.trunks = [Gateway("carrier_3", "127.0.0.6")]
        switch.api(provisioning.start_gateways())
        assert "127.0.0.6" in switch.api("sofia status gateway carrier_3")
        api.trunks = []
        switch.api(provisioning.kill_gateway("carrier_3"))
        wait_until(lambda: "Invalid" in switch.api("sofia status gateway carrier_3"), 15)

    def test_a_gateway_logs_in_with_its_credentials(
        self, switch: FreeSwitch, api: Provisioner
    ) -> None:
        # Our own agents' profile is a registrar: it plays the carrier.
        api.trunks = [
            Gateway(
                "carrier_4",
                switch.ip,
                switch.sip_agent_port,
                username=AGENT.username,
                password=AGENT.password,
                register=True,
            )
        ]
        switch.api(provisioning.start_gateways("carrier_4"))
        wait_until(lambda: "REGED" in switch.api("sofia status gateway carrier_4"), 10)
        switch.api(provisioning.kill_gateway("carrier_4"))


class TestFarEnds:
    """The other scenarios of tests/sipp, which tests elsewhere rely on."""

    @pytest.mark.parametrize(
        ("scenario", "cause"),
        [("busy", "USER_BUSY"), ("reject", "CALL_REJECTED"), ("ring", "NO_ANSWER")],
    )
    def test_a_far_end_that_does_not_answer(
        self, switch: FreeSwitch, scenario: str, cause: str
    ) -> None:
        with Sipp(f"uas_{scenario}", local_ip=CARRIER) as far_end:
            reply = switch.api(
                "originate {originate_timeout=1}"
                f"sofia/carriers/+15550111@{CARRIER}:{far_end.port} &park()"
            )
        assert cause in reply
        assert far_end.result.successful == 1

    def test_digits_arrive(self, carriers: str, switch: FreeSwitch) -> None:
        with Sipp("uac_digits", carriers, local_ip=CARRIER, hold_ms=500) as caller:
            uuid = parked(switch)
            take(switch, uuid)
            collect = "1 9 silence_stream://1 digits 5000 #"
            switch.api(f"uuid_transfer {uuid} 'answer,read:{collect},park' inline")
            wait_until(lambda: switch.variables(uuid).get("variable_digits") == "159")
        assert caller.result.successful == 1


def test_without_the_api_the_switch_starts_and_lets_nobody_in() -> None:
    with FreeSwitch() as switch:
        target = f"{switch.ip}:{switch.sip_port}"
        assert call(target, local_ip=CARRIER).responses == [403]
        assert not provisioning.addresses_are_served(switch.api(provisioning.ADDRESSES_QUERY))


def test_it_ends_with_the_script_that_started_it() -> None:
    with FreeSwitch() as switch:
        pid = switch.pid
        switch.kill_script()
        wait_until(lambda: not psutil.pid_exists(pid), 15)


def test_tls_and_secure_web_sockets_listen_only_when_asked() -> None:
    tls, wss = free_ports(2)
    with FreeSwitch(
        environment={"IRISX_SIP_TLS_PORT": str(tls), "IRISX_WSS_PORT": str(wss)}
    ) as switch:
        asked = {(switch.ip, port) for port in (tls, wss)}
        wait_until(lambda: asked <= listeners(switch))
