"""How much of a client's address is kept."""

from ipaddress import IPv6Address, ip_address, ip_network


def network_of(ip: str) -> str:
    """The /24 (IPv4) or /48 (IPv6) an address is in; "" where there is no address."""
    try:
        address = ip_address(ip)
    except ValueError:
        return ""
    if isinstance(address, IPv6Address) and address.ipv4_mapped:
        address = address.ipv4_mapped
    return str(ip_network(f"{address}/{24 if address.version == 4 else 48}", strict=False))
