"""rspamd's DKIM configuration in docker-mailserver's volume: one file of ours, one key a domain.

docker-mailserver watches everything below `rspamd/` and lets rspamd read it again. A PEM key must be
RSA: rspamd does not load Ed25519 from PEM, and signs without it silently.
"""

from collections.abc import Mapping

from mail_provisioner.domain.config_lines import Taken

FILE = "rspamd/override.d/dkim_signing.conf"
_MARK = "# Written by Postfleet; what you change here is lost."
_MOUNT = "/tmp/docker-mailserver"  # noqa: S108 (where docker-mailserver mounts the volume)
_HEAD = f"""\
{_MARK}
enabled = true;
sign_authenticated = true;
sign_local = true;
use_domain = "header";
use_redis = false;
use_esld = false;
try_fallback = false;
check_pubkey = false;
allow_username_mismatch = true;
"""


def key_file(domain: str, selector: str) -> str:
    return f"rspamd/dkim/{domain}.{selector}.private"


def configuration(selectors: Mapping[str, str]) -> str:
    """The whole file: domain -> selector of the key that signs."""
    blocks = []
    for domain, selector in sorted(selectors.items()):
        path = f"{_MOUNT}/{key_file(domain, selector)}"
        blocks.append(
            f'  "{domain}" {{\n    selectors [\n'
            f'      {{ path = "{path}"; selector = "{selector}"; }}\n    ]\n  }}\n'
        )
    return f"{_HEAD}domain {{\n{''.join(blocks)}}}\n"


def replaced(text: str, selectors: Mapping[str, str]) -> str:
    """The new file, if the old one is ours or empty. Raises Taken."""
    if text.strip() and not text.startswith(_MARK):
        raise Taken(f"{FILE} was not written by us: remove it, or sign by hand")
    return configuration(selectors)
