"""Where a party's cameras may stand, against addresses that try to be somewhere else."""

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from koinon.base.errors import Invalid, KoinonError, NotAllowed, Unavailable
from koinon.video.cameras.networks import LOOPBACK, NEVER, check_network, permits, resolve

OWN = [ipaddress.ip_network("10.4.0.0/16"), ipaddress.ip_network("2001:db8:1::/48")]
WIDE = [ipaddress.ip_network("0.0.0.0/0"), ipaddress.ip_network("::/0")]

# Addresses by which requests are commonly made to go where they should not.
FORBIDDEN = [
    "127.0.0.1",
    "127.255.255.254",
    "0.0.0.0",
    "0.1.2.3",
    "169.254.169.254",
    "169.254.170.2",
    "100.100.100.200",
    "168.63.129.16",
    "192.0.0.192",
    "224.0.0.1",
    "239.255.255.250",
    "255.255.255.255",
    "::",
    "::1",
    "::ffff:127.0.0.1",
    "::ffff:169.254.169.254",
    "::127.0.0.1",
    "fe80::1",
    "fe80::1%eth0",
    "fd00:ec2::254",
    "ff02::1",
    "64:ff9b::7f00:1",
    "64:ff9b:1::a9fe:a9fe",
    "2002:7f00:1::",
    "2001:0:7f00:1::",
]


@pytest.mark.parametrize("address", FORBIDDEN)
async def test_no_network_however_wide_opens_a_forbidden_address(address):
    with pytest.raises(NotAllowed) as refusal:
        await resolve(address, 554, [*OWN, *WIDE])
    assert refusal.value.code == "address_not_allowed"


@pytest.mark.parametrize(
    "address", ["10.5.0.1", "8.8.8.8", "192.168.1.1", "2001:db8:2::1", "::ffff:10.5.0.1"]
)
async def test_what_was_not_allowed_is_refused_public_addresses_too(address):
    with pytest.raises(NotAllowed) as refusal:
        await resolve(address, 554, OWN)
    assert refusal.value.code == "address_not_allowed"


@pytest.mark.parametrize(
    ("host", "address"),
    [("10.4.0.1", "10.4.0.1"), ("::ffff:10.4.0.1", "::ffff:10.4.0.1"), ("2001:db8:1::7", "2001:db8:1::7")],
)
async def test_an_address_in_an_allowed_network_is_given_to_connect_to(host, address):
    assert ipaddress.ip_address(await resolve(host, 554, OWN)) == ipaddress.ip_address(address)


@pytest.mark.parametrize("host", ["localhost", "0x7f.1", "2130706433", "127.1", "0177.0.0.1"])
async def test_a_name_or_an_odd_number_that_means_this_machine_is_refused(host):
    with pytest.raises(KoinonError) as refusal:
        await resolve(host, 554, [*OWN, *WIDE])
    assert refusal.value.code in ("address_not_allowed", "name_not_resolved")


async def test_this_machine_is_reached_only_where_it_was_allowed_by_name():
    assert await resolve("127.0.0.1", 554, [ipaddress.ip_network("127.0.0.0/8")]) == "127.0.0.1"
    assert await resolve("localhost", 554, list(LOOPBACK)) in ("127.0.0.1", "::1")


async def test_a_name_that_does_not_exist_is_told_as_such():
    with pytest.raises(Unavailable) as fault:
        await resolve("camera.invalid", 554, OWN)
    assert fault.value.code == "name_not_resolved"


async def test_a_name_that_mixes_permitted_and_forbidden_addresses_is_refused(monkeypatch):
    import asyncio

    async def both(host, port, **_):
        return [(2, 1, 6, "", ("10.4.0.1", port)), (2, 1, 6, "", ("169.254.169.254", port))]

    monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", both, raising=False)
    with pytest.raises(NotAllowed) as refusal:
        await resolve("two-faced.test", 554, OWN)
    assert refusal.value.code == "address_not_allowed"


@given(st.ip_addresses())
def test_nothing_in_the_lists_of_never_is_ever_permitted(address):
    never = any(address.version == each.version and address in each for each in (*NEVER, *LOOPBACK))
    assert permits(address, []) is False
    if never:
        assert permits(address, WIDE) is False


@pytest.mark.parametrize("text", ["10.4.0.0/16", "192.0.2.0/24", "2001:db8::/32", "10.0.0.1"])
def test_a_network_may_be_allowed(text):
    assert check_network(text, loopback=False) == ipaddress.ip_network(text)


@pytest.mark.parametrize("text", ["", "10.4.0.1/16", "10.4.0.0/33", "camera", "fe80::1%eth0/64", "10.4"])
def test_a_malformed_network_is_refused(text):
    with pytest.raises(Invalid) as refusal:
        check_network(text, loopback=True)
    assert refusal.value.code == "network_malformed"


@pytest.mark.parametrize("text", ["0.0.0.0/0", "8.0.0.0/7", "2000::/31", "::/0"])
def test_a_network_that_is_nearly_everything_is_refused(text):
    with pytest.raises(Invalid) as refusal:
        check_network(text, loopback=False)
    assert refusal.value.code == "network_too_wide"


@pytest.mark.parametrize(
    "text",
    [str(each) for each in NEVER if each.prefixlen >= (8 if each.version == 4 else 32)]
    + ["169.254.169.254", "127.0.0.0/8", "127.0.0.1", "::1", "168.0.0.0/8", "100.64.0.0/10"],
)
def test_a_network_that_holds_an_address_of_never_is_refused(text):
    with pytest.raises(NotAllowed) as refusal:
        check_network(text, loopback=False)
    assert refusal.value.code == "network_never"


def test_this_machine_may_be_allowed_in_a_demonstration_only():
    assert str(check_network("127.0.0.1", loopback=True)) == "127.0.0.1/32"
    with pytest.raises(NotAllowed) as refusal:
        check_network("169.254.0.0/16", loopback=True)
    assert refusal.value.code == "network_never"
