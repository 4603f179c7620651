import pytest
from hypothesis import given
from hypothesis import strategies as st

from irisx.kernel.errors import Forbidden
from irisx.tenancy.barring import check_destination, country
from irisx.tenancy.settings import TenantSettings

NORTH_AMERICA = TenantSettings()
EUROPE = TenantSettings(allowed_countries=["GB", "DE", "IT", "FR"])

#: Area codes of +1 that are neither the United States nor Canada.
ISLANDS = """
    242 BS 246 BB 264 AI 268 AG 284 VG 340 VI 345 KY 441 BM 473 GD 649 TC 658 JM 664 MS
    670 MP 671 GU 684 AS 721 SX 758 LC 767 DM 784 VC 787 PR 809 DO 829 DO 849 DO 868 TT
    869 KN 876 JM 939 PR
""".split()  # noqa: SIM905 - pairs


@pytest.mark.parametrize(
    "number",
    [
        "+15555559999",  # the specification's own examples
        "+15555551234",
        "+15555550108",
        "+12125550123",
        "+14165550123",
        "+18005551234",  # free for the caller
    ],
)
def test_north_america_is_allowed_by_default(number: str) -> None:
    check_destination(number, NORTH_AMERICA)


@pytest.mark.parametrize(("area", "region"), [*zip(ISLANDS[::2], ISLANDS[1::2], strict=True)])
@pytest.mark.parametrize("rest", ["2345678", "5551234", "0000000"])
def test_an_island_of_the_same_calling_code_is_another_country(
    area: str, region: str, rest: str
) -> None:
    assert country(f"+1{area}{rest}") == region
    with pytest.raises(Forbidden) as raised:
        check_destination(f"+1{area}{rest}", NORTH_AMERICA)
    assert raised.value.code == "DESTINATION_NOT_ALLOWED"
    assert "allowed_countries" in raised.value.message
    check_destination(f"+1{area}{rest}", TenantSettings(allowed_countries=[region]))


@pytest.mark.parametrize(
    ("number", "region"),
    [
        ("+442071838750", "GB"),
        ("+447624123456", "IM"),
        ("+441481256789", "GG"),
        ("+77011234567", "KZ"),
        ("+79161234567", "RU"),
        ("+881612345678", "001"),
        ("+99912345678", "ZZ"),
        ("+2101234567", "ZZ"),
        ("+5312345678", "CU"),
    ],
)
def test_the_country_of_a_number(number: str, region: str) -> None:
    assert country(number) == region


@pytest.mark.parametrize(
    ("number", "what"),
    [
        ("+881612345678", "GMSS satellite"),
        ("+870773111632", "Inmarsat"),
        ("+882161234567", "international network"),
        ("+883510012345", "international network"),
        ("+979123456789", "international premium"),
        ("+80012345678", "international freephone"),
        ("+80812345678", "international shared cost"),
        ("+87812345678", "universal personal"),
        ("+99912345678", "unassigned"),
    ],
)
def test_what_belongs_to_no_country_is_barred_whatever_the_countries(
    number: str, what: str
) -> None:
    for settings in (NORTH_AMERICA, EUROPE):
        with pytest.raises(Forbidden) as raised:
            check_destination(number, settings)
        assert "allowed_prefixes" in raised.value.message, what


@pytest.mark.parametrize(
    ("number", "what"),
    [
        ("+19005551234", "900"),
        ("+12129761234", "the 976 exchange"),
        ("+449012345678", "UK premium"),
        ("+448431234567", "UK shared cost"),
        ("+447012345678", "UK personal number"),
        ("+4990012345678", "German premium"),
        ("+33891123456", "French premium"),
        ("+39899123456", "Italian premium"),
    ],
)
def test_what_charges_the_caller_is_barred_in_an_allowed_country(number: str, what: str) -> None:
    settings = TenantSettings(allowed_countries=["US", "CA", "GB", "DE", "FR", "IT"])
    with pytest.raises(Forbidden) as raised:
        check_destination(number, settings)
    assert "allowed_prefixes" in raised.value.message, what


@given(st.sampled_from(["+19005551234", "+449012345678", "+447012345678"]), st.data())
def test_digits_beyond_the_end_do_not_hide_a_premium_number(
    number: str, data: st.DataObject
) -> None:
    room = 16 - len(number)
    extra = data.draw(st.text("0123456789", max_size=room))
    with pytest.raises(Forbidden):
        check_destination(number + extra, TenantSettings(allowed_countries=["US", "GB"]))


@pytest.mark.parametrize("number", ["+19005551234", "+881612345678", "+18765551234"])
def test_an_allowed_prefix_lets_its_range_through_and_no_other(number: str) -> None:
    check_destination(number, TenantSettings(allowed_prefixes=[number[1:6]]))
    with pytest.raises(Forbidden):
        check_destination(number, TenantSettings(allowed_prefixes=[number[2:7].lstrip("0")]))


@given(st.from_regex(r"\+[1-9][0-9]{6,14}", fullmatch=True))
def test_a_number_is_let_through_only_in_an_allowed_country(number: str) -> None:
    try:
        check_destination(number, NORTH_AMERICA)
    except Forbidden as refused:
        assert refused.code == "DESTINATION_NOT_ALLOWED"
        assert refused.details
    else:
        assert country(number) in ("US", "CA")


@given(st.from_regex(r"\+[1-9][0-9]{6,14}", fullmatch=True))
def test_without_countries_nothing_goes_out(number: str) -> None:
    with pytest.raises(Forbidden):
        check_destination(number, TenantSettings(allowed_countries=[]))
