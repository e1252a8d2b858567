"""The compose profile `mailserver`: what its files promise."""

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from mail_provisioner.domain import user_tables
from mail_provisioner.settings import Settings

FOLDER = Path(__file__).parents[3] / "deploy" / "mailserver"
COMPOSE: dict[str, Any] = yaml.safe_load((FOLDER / "compose.yaml").read_text())
SERVER = COMPOSE["services"]["mailserver"]
README = (FOLDER / "README.md").read_text()


def environment(name: str) -> str:
    return str(SERVER["environment"][name])


@pytest.mark.seed("S4", "S43")
def test_it_is_docker_mailserver_in_a_version_that_forwards() -> None:
    version = SERVER["image"].rpartition(":")[2]
    assert tuple(map(int, version.split("."))) >= (16, 0, 1)
    assert environment("ACCOUNT_PROVISIONER") == "FILE"
    assert {service.get("profiles", [""])[0] for service in COMPOSE["services"].values()} == {
        "mailserver", "",
    }  # fmt: skip
    assert "profiles" not in COMPOSE["services"]["mail-provisioner"]


@pytest.mark.seed("S45", "S46", "S47", "S70", "S71", "S72", "S73", "S87", "S90", "S93")
def test_every_port_of_a_mail_server_is_published() -> None:
    assert SERVER["ports"] == ["25:25", "587:587", "465:465", "993:993", "4190:4190"]
    assert environment("ENABLE_MANAGESIEVE") == "1"


@pytest.mark.seed("S56", "S57", "S58", "S59", "S121", "S122", "S123")
def test_spam_is_filtered_looked_up_and_learned_from_folders() -> None:
    for name in ("ENABLE_RSPAMD", "RSPAMD_LEARN", "ENABLE_DNSBL", "MOVE_SPAM_TO_JUNK"):
        assert environment(name) == "1"
    assert "min_learns = 50;" in (FOLDER / "classifier-bayes.conf").read_text()
    assert "once there are 50 mails of spam and 50 others" in README


@pytest.mark.seed("S65", "S97", "S118", "S135", "S136")
def test_it_is_secure_from_the_start() -> None:
    assert environment("SPOOF_PROTECTION") == "${MAIL_SPOOF_PROTECTION:-1}"
    assert environment("ENABLE_QUOTAS") == "0"
    assert environment("PERMIT_DOCKER") == "none"
    assert environment("TLS_LEVEL") == "modern"
    assert "privileged" not in SERVER
    assert not any("docker.sock" in str(service) for service in COMPOSE["services"].values())


@pytest.mark.seed("S52", "S142", "C18")
def test_both_separators_count_and_unsigned_mail_never_leaves() -> None:
    postfix = (FOLDER / "postfix-main.cf").read_text()
    assert "recipient_delimiter = +-" in postfix
    assert "milter_default_action = tempfail" in postfix
    assert "recipient_delimiter = +-" in (FOLDER / "dovecot.cf").read_text()


@pytest.mark.seed("S60", "S62", "S86")
def test_webmail_and_certificates_are_for_the_same_name() -> None:
    webmail = COMPOSE["services"]["webmail"]["environment"]
    assert webmail["ROUNDCUBEMAIL_DEFAULT_HOST"] == "ssl://${MAIL_HOSTNAME}"
    assert "managesieve" in webmail["ROUNDCUBEMAIL_PLUGINS"]
    assert environment("SSL_TYPE") == "letsencrypt"
    assert COMPOSE["services"]["certificates"]["environment"]["NAME"] == "${MAIL_HOSTNAME}"


@pytest.mark.seed("S132", "S150", "S155")
def test_everything_that_must_survive_is_on_a_volume_that_the_text_backs_up() -> None:
    volumes = {mount.split(":")[0]: mount.split(":")[1] for mount in SERVER["volumes"]}
    assert volumes["mailserver-config"] == "/tmp/docker-mailserver"
    assert volumes["mail-data"] == "/var/mail"
    for volume in ("mailserver-config", "mail-data", "certificates"):
        assert volume in README.partition("## Backup and restore")[2]


@pytest.mark.seed(
    "S69", "S88", "S89", "S91", "S92", "S94", "S116", "S118", "S157", "S158", "S161", "C29"
)
def test_the_text_tells_settings_limits_and_commands() -> None:
    for words in (
        "the whole address",
        "decides which mailbox is meant, and which address may be sent as",
        "outbound 25 to send",
        "Mailing lists with subscription, and quotas",
        "supervisorctl status",
        "restart mailserver",
        "logs mailserver",
    ):
        assert words in " ".join(README.split())


def test_prepare_fills_an_empty_volume_and_keeps_what_is_there(tmp_path: Path) -> None:
    (tmp_path / "postfix-main.cf").write_text("# mine\n")
    for _ in range(2):
        subprocess.run(["/bin/sh", FOLDER / "prepare", FOLDER, tmp_path], check=True)
    assert (tmp_path / "postfix-main.cf").read_text() == "# mine\n"
    found = {str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*") if path.is_file()}
    assert found == {
        "postfix-main.cf", "dovecot.cf", "rspamd/override.d/classifier-bayes.conf",
        "postfix-send-access.cf", "postfix-receive-access.cf", "postfleet/ip-access",
            "postfleet/senders.pcre",
    }  # fmt: skip


def test_prepare_points_the_servers_to_the_tables_of_a_large_fleet(tmp_path: Path) -> None:
    command = ["/bin/sh", FOLDER / "prepare", FOLDER, tmp_path]
    for _ in range(2):
        subprocess.run(command, check=True, env={"MAIL_FORM": "tables", "PATH": "/usr/bin:/bin"})
    postfix = (tmp_path / "postfix-main.cf").read_text()
    dovecot = (tmp_path / "dovecot.cf").read_text()
    for table in (user_tables.MAILBOXES, user_tables.ALIASES, user_tables.DOMAINS):
        assert f"texthash:/tmp/docker-mailserver/{table}" in postfix
        assert (tmp_path / table).exists()
    assert postfix.count("virtual_mailbox_maps") == 1
    assert dovecot.count(f"passwd_file_path = /tmp/docker-mailserver/{user_tables.USERS}") == 2
    refused = subprocess.run(command, env={"MAIL_FORM": "both"}, capture_output=True, text=True)
    assert (refused.returncode, "files or tables" in refused.stderr) == (78, True)


def test_the_provisioners_settings_exist() -> None:
    asked = COMPOSE["services"]["mail-provisioner"]["environment"]
    names = {re.sub("^POSTFLEET_MAIL_PROVISIONER_", "", name).lower() for name in asked}
    assert names <= set(Settings.model_fields)


def test_compose_understands_it() -> None:
    command = ["check-jsonschema", "--builtin-schema", "vendor.compose-spec"]
    binary = Path(sys.executable).parent / command[0]
    checked = subprocess.run([binary, *command[1:], FOLDER / "compose.yaml"], capture_output=True)
    assert checked.returncode == 0, checked.stdout.decode()


def test_every_variable_of_the_profile_is_explained_beside_the_others() -> None:
    """`make env` copies .env.example: what is needed for the profile is there, to be filled in."""
    used = set(re.findall(r"\$\{([A-Z_]+)", (FOLDER / "compose.yaml").read_text()))
    example = (FOLDER.parents[1] / ".env.example").read_text()
    told = set(re.findall(r"^#? ?([A-Z_]+)=", example, re.MULTILINE))
    assert used <= told, used - told
    assert "${MAIL_HOSTNAME:?" in (FOLDER / "compose.yaml").read_text(), (
        "refused while it is missing"
    )
