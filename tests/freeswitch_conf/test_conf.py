"""Static checks of freeswitch-conf/ and dialplans/: what FreeSWITCH would only say in its log."""

import re
import shutil
import subprocess
import xml.etree.ElementTree as ET
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path

import pytest

from irisx.telephony.esl.commands import END_HOOK

ROOT = Path(__file__).resolve().parents[2]
CONF = ROOT / "freeswitch-conf"
DIALPLANS = ROOT / "dialplans"
FILES = sorted([*CONF.rglob("*.xml"), *DIALPLANS.glob("*.xml"), *DIALPLANS.glob("*.inc")])
# What FreeSWITCH knows by itself.
BUILT_IN = {"conf_dir": str(CONF), "certs_dir": "/c", "temp_dir": "/t", "local_ip_v4": "192.0.2.1"}
SECRETS = {"IRISX_ESL_PASSWORD": "given-password", "IRISX_XML_TOKEN": "given-token"}
REQUIRED_MODULES = """
event_socket sofia commands dptools dialplan_xml loopback conference sndfile native_file
local_stream tone_stream spandsp avmd hash xml_curl verto
"""

DIRECTIVE = re.compile(r'<X-PRE-PROCESS cmd="([\w-]+)" data="([^"]*)"/>')
GLOBAL = re.compile(r"\$\$\{(\w+)\}")


def preprocess(
    path: Path, variables: dict[str, str], environment: Mapping[str, str]
) -> Iterator[str]:
    """The lines of a file as FreeSWITCH's preprocessor gives them to its XML parser.

    KeyError for a variable that is not set, AssertionError for an include that finds nothing.
    """
    for line in re.sub("<!--.*?-->", "", path.read_text(), flags=re.DOTALL).splitlines():
        if "<?xml" in line or line.strip() in ("<include>", "</include>"):
            continue
        text = GLOBAL.sub(lambda found: variables[found[1]], line)
        directive = DIRECTIVE.search(text)
        if directive is None:
            assert "X-PRE-PROCESS" not in text
            yield text
            continue
        command, data = directive.groups()
        name, _, value = data.partition("=")
        if command == "set":
            variables[name] = value
        elif command == "env-set":
            given = environment.get(value.removeprefix("$"))
            if given is not None:
                variables[name] = given
        else:
            assert command == "include", f"{path.name}: {command} is more than we need"
            included = sorted(path.parent.resolve().glob(data))
            assert included, f"{path.name} includes {data}, which is not there"
            for each in included:
                yield from preprocess(each, variables, environment)


@cache
def document(*switched_on: str) -> ET.Element:
    environment = SECRETS | {name: "on" for name in switched_on}
    lines = preprocess(CONF / "freeswitch.xml", dict(BUILT_IN), environment)
    return ET.fromstring("\n".join(lines))


def settings(configuration: str, element: str = "settings") -> dict[str, str]:
    found = document().find(f".//configuration[@name='{configuration}']/{element}")
    assert found is not None
    return {each.attrib["name"]: each.attrib["value"] for each in found.iter("param")}


def profile(name: str) -> dict[str, str]:
    return settings("sofia.conf", f"profiles/profile[@name='{name}']/settings")


def contexts() -> dict[str, ET.Element]:
    return {each.attrib["name"]: each for each in document().iter("context")}


@pytest.mark.parametrize("switched_on", [(), ("IRISX_TLS",), ("IRISX_WSS",)])
def test_it_is_well_formed_and_every_variable_is_set(switched_on: tuple[str, ...]) -> None:
    sections = document(*switched_on).findall("section")
    assert [each.attrib["name"] for each in sections] == ["configuration", "dialplan", "directory"]


@pytest.mark.parametrize("secret", SECRETS)
def test_it_has_no_default_for_a_secret(secret: str) -> None:
    others = {name: value for name, value in SECRETS.items() if name != secret}
    with pytest.raises(KeyError, match=secret.lower()):
        list(preprocess(CONF / "freeswitch.xml", dict(BUILT_IN), others))


def test_it_holds_no_user_and_no_password() -> None:
    assert not list(document().iter("user"))
    assert not list(document().iter("gateway"))
    for path in FILES:
        for name, value in re.findall(r'<param name="([\w-]+)" value="([^"]*)"', path.read_text()):
            if re.search("password|credentials|secret", name):
                assert re.search(r"\$\$\{irisx_\w+\}$", value), f"{path.name}: {name}"


def test_functions_in_text_are_off_and_the_configuration_uses_none() -> None:
    assert settings("switch.conf")["api-expansion"] == "false"
    assert not re.search(r"\$\{[^}]*\(", ET.tostring(document(), encoding="unicode"))


def test_no_module_is_critical_that_a_switch_may_lack() -> None:
    modules = {each.attrib["module"]: each.get("critical") for each in document().iter("load")}
    required = {f"mod_{name}" for name in REQUIRED_MODULES.split()}
    assert required <= set(modules)
    assert {name for name, critical in modules.items() if critical == "true"} <= required
    assert list(modules)[-1] == "mod_xml_curl"


def test_only_a_carriers_address_calls_by_the_carriers_profile() -> None:
    carriers = profile("carriers")
    assert carriers["apply-inbound-acl"] == "carriers"
    assert carriers["disable-register"] == "true"
    networks = document().find(".//list[@name='carriers']")
    assert networks is not None
    assert networks.attrib["default"] == "deny"
    assert len(networks) == 0


def test_nothing_passes_the_agents_profile_without_a_digest() -> None:
    agents = profile("agents")
    assert agents["auth-calls"] == "true"
    assert not {name for name in agents if name.endswith("-acl")} - {"apply-nat-acl"}


@pytest.mark.parametrize("name", ["carriers", "agents"])
def test_both_profiles_are_closed_to_the_curious(name: str) -> None:
    settings = profile(name)
    assert settings["context"] == name
    assert settings["disable-transfer"] == "true"
    assert settings["accept-blind-reg"] == settings["accept-blind-auth"] == "false"
    assert settings["manage-presence"] == settings["enable-chat"] == "false"
    assert settings["log-auth-failures"] == "true"
    assert "freeswitch" not in str(settings).lower()


def test_only_the_directory_and_configuration_are_asked_of_the_api() -> None:
    urls = [each for each in document().iter("param") if "bindings" in each.attrib]
    assert [each.attrib["bindings"] for each in urls] == ["directory|configuration"]


def test_every_context_ends_whatever_comes() -> None:
    assert set(contexts()) == {"carriers", "agents", "no_engine", "default"}
    for name, context in contexts().items():
        last = context.findall("extension")[-1]
        condition = last.findall("condition")[-1]
        assert not condition.attrib, name
        assert condition.findall("action")[-1].attrib["application"] == "hangup", name


def test_every_context_that_is_named_exists() -> None:
    named = {each.attrib["value"] for each in document().iter("param") if _is_context(each)}
    for action in document().iter("action"):
        if action.attrib["application"] in ("transfer", "sched_transfer"):
            named.add(action.attrib["data"].split()[-1])
    assert named <= set(contexts())
    assert "no_engine" in named


@pytest.mark.parametrize("name", ["carriers", "agents"])
def test_no_parked_call_outlives_its_owner(name: str) -> None:
    applications = [each.attrib["application"] for each in contexts()[name].iter("action")]
    parking = applications.index("park")
    assert {"sched_transfer", "hash"} <= set(applications[:parking])
    data = {each.get("data", "") for each in contexts()[name].iter("action")}
    assert any("park_timeout=14400:ALLOTTED_TIMEOUT" in each.split() for each in data)


@pytest.mark.parametrize("name", ["carriers", "agents"])
def test_a_callers_end_is_kept_as_the_engine_reads_it(name: str) -> None:
    words = [
        word for each in contexts()[name].iter("action") for word in each.get("data", "").split()
    ]
    hooks = {word.partition("=")[2] for word in words if word.startswith("api_reporting_hook=")}
    assert {hook.replace(r"\\\${", "${") for hook in hooks} == {END_HOOK}


def test_the_message_for_callers_is_there() -> None:
    for action in contexts()["no_engine"].iter("action"):
        if action.attrib["application"] == "playback":
            assert Path(action.attrib["data"]).stat().st_size > 16_000


def test_every_setting_is_documented() -> None:
    page = (ROOT / "docs" / "freeswitch.md").read_text()
    for name in re.findall(r"=\$(IRISX_\w+)", (CONF / "vars.xml").read_text()):
        assert f"`{name}`" in page or f"{name}=on" in page or name == "IRISX_PORT", name


def test_frslint_finds_nothing() -> None:
    frslint = shutil.which("frslint")
    assert frslint, "pip install -r requirements-dev.txt"
    done = subprocess.run(
        [frslint, "analyze", CONF / "freeswitch.xml"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout


def _is_context(param: ET.Element) -> bool:
    return param.attrib["name"] == "context"
