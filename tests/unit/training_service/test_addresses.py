"""Which hosts and addresses may be asked."""

import pytest

from services.training.domain import elsewhere
from services.training.domain.addresses import Host, HostList, is_public


@pytest.mark.parametrize(
    "entry",
    ["", "*", "*.", "a/b", "https://", "ftp://a", "a b", "me@host", "host:0x1", "a.*.b", "*.a:80", "host:99999"],
)
def test_what_is_no_host_is_no_entry(entry: str):
    with pytest.raises(ValueError, match=r".+"):
        Host.parse(entry)


@pytest.mark.parametrize(
    ("entry", "address", "allowed"),
    [
        ("data.example.org", "https://data.example.org/t.csv", True),
        ("Data.Example.org", "https://DATA.example.ORG./t.csv", True),
        ("data.example.org", "https://data.example.org:443/t.csv", True),
        ("data.example.org", "https://data.example.org:8443/t.csv", False),
        ("data.example.org", "http://data.example.org/t.csv", False),
        ("data.example.org", "https://example.org/t.csv", False),
        ("data.example.org", "https://data.example.org.evil.example/t.csv", False),
        ("*.example.org", "https://a.b.example.org/t.csv", True),
        ("*.example.org", "https://example.org/t.csv", False),
        ("*.example.org", "https://evilexample.org/t.csv", False),
        ("host:8443", "https://host:8443/t.csv", True),
        ("host:8443", "https://host/t.csv", False),
        ("http://host:8080", "http://host:8080/t.csv", True),
        ("http://host:8080", "https://host:8080/t.csv", False),
        ("[::1]:8443", "https://[::1]:8443/t.csv", True),
        ("bücher.example", "https://b%C3%BCcher.example/t.csv", False),
        ("bücher.example", "https://xn--bcher-kva.example/t.csv", True),
        ("bücher.example", "https://bücher.example/t.csv", True),
    ],
)
def test_an_entry_means_these_addresses(entry: str, address: str, allowed: bool):
    hosts = HostList([entry])
    found = None
    try:
        found = hosts.check(address)
    except (elsewhere.HostNotListed, elsewhere.BadAddress):
        assert not allowed

    assert (found is not None) == allowed


def test_an_address_is_taken_apart_once_and_put_together_from_its_parts():
    """So that nothing else is asked than what was checked."""
    found = HostList(["[::1]:8443"]).check("https://[::1]:8443?a=b#c")

    assert (found.url, found.host, found.port) == ("https://[::1]:8443/?a=b", "::1", 8443)
    assert found.may_be_private
    assert "a=b" not in repr(found)


def test_only_an_entry_with_a_port_may_be_within_our_network():
    assert not HostList(["host"]).check("https://host/").may_be_private
    assert not HostList(["*.host"]).check("https://a.host/").may_be_private
    assert HostList(["host:443"]).check("https://host/").may_be_private


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1", "10.0.0.1", "172.16.0.1", "192.168.1.1", "169.254.169.254", "100.64.0.1", "0.0.0.0", "224.0.0.1",
        "255.255.255.255", "::1", "::", "fe80::1", "fe80::1%eth0", "fc00::1", "ff02::1", "::ffff:127.0.0.1",
        "::ffff:10.0.0.1", "64:ff9b::7f00:1", "64:ff9b::a9fe:a9fe", "2002:7f00:1::", "2001:db8::1", "192.0.2.1",
    ],
)  # fmt: skip
def test_an_address_of_this_machine_or_a_local_network_is_not_public(address: str):
    assert not is_public(address)


@pytest.mark.parametrize("address", ["8.8.8.8", "2606:4700::1111", "::ffff:8.8.8.8", "64:ff9b::808:808"])
def test_other_addresses_are_public(address: str):
    assert is_public(address)
