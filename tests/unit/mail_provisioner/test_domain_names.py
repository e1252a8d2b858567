"""Names of domains are kept as DNS has them: IDNA 2008, in which ß stays itself."""

import pytest

from mail_provisioner.domain.domains import canonical_domain


@pytest.mark.parametrize(
    ("written", "kept"),
    [
        pytest.param("Example.ORG", "example.org", id="capitals"),
        pytest.param("straße.example", "xn--strae-oqa.example", id="not strasse, another's domain"),
        pytest.param("BÜCHER.example", "xn--bcher-kva.example", id="umlaut"),
    ],
)
def test_a_domain_is_kept_under_its_own_name(written: str, kept: str) -> None:
    assert canonical_domain(written) == kept
