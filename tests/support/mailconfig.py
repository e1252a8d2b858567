"""What a private Postfix and Dovecot (2.3) read, as text: one function per server."""

import grp
import os
import pwd
from dataclasses import dataclass
from pathlib import Path

HOSTNAME = "mail.test"
DELIMITERS = "+-"
VMAIL_ID = 5000  # owner of the mail; needs no entry in /etc/passwd

_LONG_AGO = 1_000_000_000  # Postfix waits a second before it trusts a file written just now
_QUEUES = ["active", "bounce", "corrupt", "defer", "deferred", "flush", "hold", "incoming"]
_QUEUES += ["private", "saved", "trace"]


@dataclass(frozen=True, slots=True)
class Ports:
    smtp: int
    submission: int
    submissions: int
    imap: int
    imaps: int
    sieve: int
    lmtp: int


@dataclass(frozen=True, slots=True)
class Places:
    """Everything is below `root`, whose name is short: an AF_UNIX path may hold 107 bytes."""

    root: Path
    certificate: Path
    key: Path

    @property
    def postfix(self) -> Path:
        return self.root / "p"

    @property
    def queue(self) -> Path:
        return self.root / "q"

    @property
    def data(self) -> Path:
        return self.root / "pd"

    @property
    def dovecot(self) -> Path:
        return self.root / "d"

    @property
    def mail(self) -> Path:
        return self.root / "mail"

    @property
    def config(self) -> Path:
        return self.root / "config"

    @property
    def logs(self) -> Path:
        return self.root / "log"


def write(places: Places, ports: Ports, size_limit_bytes: int) -> None:
    """Write every file and directory that the servers expect to find."""
    for folder in (places.postfix, places.dovecot, places.config, places.logs, places.mail):
        folder.mkdir()
    os.chown(places.mail, VMAIL_ID, VMAIL_ID)
    (places.dovecot / "dovecot.conf").write_text(dovecot_conf(places, ports))
    for table in ("pass", "user", "master"):
        (places.dovecot / f"{table}.ext").write_text(dovecot_lookup(places, table))
    (places.postfix / "main.cf").write_text(main_cf(places, ports, size_limit_bytes))
    (places.postfix / "master.cf").write_text(master_cf(ports))
    for name in ("main.cf", "master.cf"):
        os.utime(places.postfix / name, (_LONG_AGO, _LONG_AGO))
    make_queue(places)


def offer_xoauth2(places: Places, introspection_url: str) -> None:
    """Let Dovecot, and through it Postfix, take access tokens beside passwords."""
    conf = places.dovecot / "dovecot.conf"
    text = conf.read_text().replace(
        "auth_mechanisms = plain login", "auth_mechanisms = plain login xoauth2"
    )
    (places.dovecot / "oauth2.ext").write_text(
        f"introspection_mode = post\nintrospection_url = {introspection_url}\n"
        "username_attribute = username\nactive_attribute = active\nactive_value = true\n"
    )
    passdb = f"driver = oauth2\n  mechanisms = xoauth2\n  args = {places.dovecot}/oauth2.ext"
    conf.write_text(f"{text}passdb {{\n  {passdb}\n}}\n")


def allow_many(places: Places, connections: int) -> None:
    """Let Dovecot hold so many IMAP connections at a time; its own limits are some hundreds."""
    places.mail.chmod(0o777)  # for the users of `MailPair.add_mailboxes`
    conf = places.dovecot / "dovecot.conf"
    limits = f"default_client_limit = {4 * connections}\ndefault_process_limit = {connections}\n"
    sections = f"service imap {{\n  process_limit = {connections}\n}}\n"
    sections += "service imap-login {\n  process_limit = 10\n}\n"
    conf.write_text(f"{limits}{conf.read_text()}{sections}")


def make_queue(places: Places) -> None:
    postfix, postdrop = pwd.getpwnam("postfix").pw_uid, grp.getgrnam("postdrop").gr_gid
    folders = [(name, postfix, 0, 0o700) for name in _QUEUES]
    folders += [("maildrop", postfix, postdrop, 0o1730), ("public", postfix, postdrop, 0o2710)]
    folders += [("pid", 0, 0, 0o755)]
    places.queue.mkdir()
    places.data.mkdir()
    os.chown(places.data, postfix, -1)
    for name, user, group, mode in folders:
        path = places.queue / name
        path.mkdir()
        os.chown(path, user, group)
        path.chmod(mode)


def main_cf(places: Places, ports: Ports, size_limit_bytes: int) -> str:
    """Local mailboxes only: no `smtp` client is configured, so no mail can leave."""
    table = f"socketmap:unix:{places.root}/postfix.sock"
    return f"""\
compatibility_level = 3.6
queue_directory = {places.queue}
data_directory = {places.data}
maillog_file = {places.logs}/postfix.log
maillog_file_prefixes = {places.logs}
myhostname = {HOSTNAME}
mydestination =
local_recipient_maps =
alias_maps =
alias_database =
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
mynetworks = 127.255.255.255/32
smtpd_peername_lookup = no
smtp_dns_support_level = disabled
recipient_delimiter = {DELIMITERS}
message_size_limit = {size_limit_bytes}
mailbox_size_limit = 0
virtual_mailbox_domains = {table}:domains
virtual_mailbox_maps = {table}:mailboxes
virtual_alias_domains =
virtual_alias_maps = {table}:aliases
smtpd_sender_login_maps = {table}:owners
smtpd_sender_restrictions = check_sender_access {table}:senders
virtual_transport = lmtp:inet:127.0.0.1:{ports.lmtp}
default_transport = error:5.7.1 this test server sends nothing to other domains
relay_transport = $default_transport
smtpd_sasl_type = dovecot
smtpd_sasl_path = {places.root}/sasl
smtpd_sasl_security_options = noanonymous
smtpd_tls_auth_only = yes
smtpd_tls_security_level = may
smtpd_tls_chain_files = {places.key} {places.certificate}
smtpd_relay_restrictions = permit_sasl_authenticated, reject_unauth_destination
submission_sender = check_sender_access {table}:senders
  reject_authenticated_sender_login_mismatch permit_sasl_authenticated reject
minimal_backoff_time = 1s
maximal_backoff_time = 2s
queue_run_delay = 1s
in_flow_delay = 0
default_destination_rate_delay = 0
smtpd_error_sleep_time = 0
smtpd_soft_error_limit = 1000
smtpd_hard_error_limit = 1000
smtpd_client_connection_count_limit = 0
default_process_limit = 200
"""


def master_cf(ports: Ports) -> str:
    """No service is chrooted and none listens outside 127.0.0.1."""
    authenticated = """\
  -o smtpd_sasl_auth_enable=yes
  -o smtpd_client_restrictions=permit_sasl_authenticated,reject
  -o smtpd_sender_restrictions=$submission_sender
"""
    return f"""\
127.0.0.1:{ports.smtp} inet n - n - - smtpd
127.0.0.1:{ports.submission} inet n - n - - smtpd
  -o syslog_name=postfix/submission
  -o smtpd_tls_security_level=encrypt
{authenticated}127.0.0.1:{ports.submissions} inet n - n - - smtpd
  -o syslog_name=postfix/submissions
  -o smtpd_tls_wrappermode=yes
{authenticated}cleanup unix n - n - 0 cleanup
qmgr unix n - n 300 1 qmgr
tlsmgr unix - - n 1000? 1 tlsmgr
rewrite unix - - n - - trivial-rewrite
bounce unix - - n - 0 bounce
defer unix - - n - 0 bounce
trace unix - - n - 0 bounce
verify unix - - n - 1 verify
flush unix n - n 1000? 0 flush
proxymap unix - - n - - proxymap
error unix - - n - - error
retry unix - - n - - error
discard unix - - n - - discard
lmtp unix - - n - - lmtp
anvil unix - - n - 1 anvil
scache unix - - n - 1 scache
postlog unix-dgram n - n - 1 postlogd
"""


def dovecot_conf(places: Places, ports: Ports) -> str:
    """Dovecot takes a password in clear from its own address: clients must insist on TLS."""
    folders = "".join(
        f"  mailbox {name} {{\n    auto = subscribe\n    special_use = \\{name}\n  }}\n"
        for name in ("Drafts", "Junk", "Sent", "Trash")
    )
    return f"""\
protocols = imap lmtp sieve
listen = 127.0.0.1
base_dir = {places.dovecot}/run
state_dir = {places.dovecot}/state
log_path = {places.logs}/dovecot.log
hostname = {HOSTNAME}
postmaster_address = postmaster@{HOSTNAME}
recipient_delimiter = {DELIMITERS}
submission_host = 127.0.0.1:{ports.smtp}
ssl = yes
ssl_cert = <{places.certificate}
ssl_key = <{places.key}
auth_mechanisms = plain login
auth_failure_delay = 0
auth_master_user_separator = *
mail_location = maildir:~/Maildir
mail_uid = {VMAIL_ID}
mail_gid = {VMAIL_ID}
first_valid_uid = {VMAIL_ID}
mail_plugins = quota
namespace inbox {{
  inbox = yes
{folders}}}
passdb {{
  driver = dict
  args = {places.dovecot}/master.ext
  master = yes
  result_success = continue
}}
passdb {{
  driver = dict
  args = {places.dovecot}/pass.ext
}}
userdb {{
  driver = dict
  args = {places.dovecot}/user.ext
}}
plugin {{
  quota = count:User quota
  quota_vsizes = yes
  sieve = file:~/sieve;active=~/.dovecot.sieve
  sieve_vacation_min_period = 0
}}
protocol imap {{
  mail_plugins = quota imap_quota
  mail_max_userip_connections = 0
}}
protocol lmtp {{
  mail_plugins = quota sieve
}}
service imap-login {{
  chroot =
  service_count = 0
  process_min_avail = 1
  inet_listener imap {{
    port = {ports.imap}
  }}
  inet_listener imaps {{
    port = {ports.imaps}
    ssl = yes
  }}
}}
service managesieve-login {{
  chroot =
  inet_listener sieve {{
    port = {ports.sieve}
  }}
}}
service lmtp {{
  inet_listener lmtp {{
    address = 127.0.0.1
    port = {ports.lmtp}
  }}
}}
service auth {{
  unix_listener {places.root}/sasl {{
    mode = 0666
  }}
}}
service anvil {{
  chroot =
  unix_listener anvil-auth-penalty {{
    mode = 0
  }}
}}
service stats {{
  chroot =
}}
"""


def dovecot_lookup(places: Places, table: str) -> str:
    """The settings of one dict lookup: `pass`, `user` or `master`."""
    kind = "userdb" if table == "user" else "passdb"
    return f"""\
uri = proxy:{places.root}/dovecot.sock:directory
key {table} {{
  key = {table}/%Lu
  format = json
}}
{kind}_objects = {table}
"""
