"""dovecot-masters.cf: `name|hash`. Who logs in as `ann@one.test*name` acts for Ann."""

from mail_provisioner.domain.config_lines import BrokenFile, significant, with_line, without_lines

FILE = "dovecot-masters.cf"
NAME = "postfleet"  # ours; the password is made anew when its line is missing or changed
SEPARATOR = "*"


def login_for(address: str) -> str:
    return f"{address}{SEPARATOR}{NAME}"


def password_hash(text: str) -> str:
    """The hash of our master account, or "". Raises BrokenFile."""
    return next((hash_ for _, name, hash_ in _masters(text) if name == NAME), "")


def with_master(text: str, hash_: str) -> str:
    """The file with our master account, in the place of an older one. Raises BrokenFile."""
    gone = {index for index, name, known in _masters(text) if name == NAME and known != hash_}
    kept = without_lines(text, gone)
    return kept if password_hash(kept) == hash_ else with_line(kept, f"{NAME}|{hash_}")


def _masters(text: str) -> list[tuple[int, str, str]]:
    found = []
    for index, line in significant(text):
        name, bar, hash_ = line.partition("|")
        if not bar or "\r" in line:
            raise BrokenFile(FILE, index + 1, "a master account is written as name|hash")
        found.append((index, name.strip(), hash_.strip()))
    return found
