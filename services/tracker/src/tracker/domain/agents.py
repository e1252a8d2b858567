"""Who the machines are: user agents of image proxies and of mail security. Data, no rules.

Search engines, link previews and libraries come from the `crawler-user-agents` package, which is
kept up to date by its authors; here is what it lacks.
"""

import re
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Signature:
    """`needle` is looked for in the lower-cased user agent."""

    name: str
    needle: str


#: They load every picture once, for a person or not: an open that says nothing for certain.
IMAGE_PROXIES = (
    Signature("Gmail image proxy", "googleimageproxy"),
    Signature("Yahoo Mail proxy", "yahoomailproxy"),
    Signature("Rambler Mail proxy", "ramblermail"),
    Signature("Seznam Mail proxy", "seznamemailproxy"),
    Signature("ukr.net Mail proxy", "mail.ukr.net proxy"),
)

#: How machines call themselves, whoever they are. Cubot is a telephone.
MACHINE_WORDS = re.compile(
    r"(?<!cu)bots?(?![a-z])|spider|crawl|scrape|fetch|monitor|\bscan|scanner|checker|validator"
    r"|\+https?://|archiv|uptime|\bprobe|inspect|headless|lighthouse|page speed|google-[a-z]"
    r"|python|\bjava/|\bruby|\bphp|\bperl|curl|wget|go-http|okhttp|http_?client|libwww"
)

#: Apple's privacy proxy and nothing else sends exactly this.
APPLE_MAIL_PRIVACY = "Mozilla/5.0"

MAIL_SECURITY = (
    Signature("Barracuda", "barracuda"),
    Signature("Proofpoint", "proofpoint"),
    Signature("Proofpoint URL Defense", "urldefense"),
    Signature("Mimecast", "mimecast"),
    Signature("Microsoft Safe Links", "safelinks"),
    Signature("Microsoft Safe Links", "safe links"),
    Signature("Microsoft Safe Links", "bingpreview"),
    Signature("Microsoft Defender", "microsoft defender"),
    Signature("Microsoft Office discovery", "microsoft office existence discovery"),
    Signature("Microsoft Office discovery", "microsoft office protocol discovery"),
    Signature("Google Safe Browsing", "google-safety"),
    Signature("Google Safe Browsing", "safebrowsing"),
    Signature("Google Safe Browsing", "safe browsing"),
    Signature("Google Safe Browsing", "google-phishing"),
    Signature("Symantec Email Security", "symantec"),
    Signature("Symantec Email Security", "messagelabs"),
    Signature("Cisco Secure Email", "ironport"),
    Signature("Cisco Secure Email", "cisco-esa"),
    Signature("Cisco Talos", "talosintelligence"),
    Signature("Trend Micro", "trendmicro"),
    Signature("Trend Micro", "trend micro"),
    Signature("Sophos Email", "sophos"),
    Signature("Fortinet", "fortimail"),
    Signature("Fortinet", "fortiguard"),
    Signature("FireEye", "fireeye"),
    Signature("Trellix", "trellix"),
    Signature("Forcepoint", "forcepoint"),
    Signature("Forcepoint", "websense"),
    Signature("Palo Alto Networks", "paloalto"),
    Signature("Palo Alto Networks", "palo alto networks"),
    Signature("Check Point Harmony", "avanan"),
    Signature("Check Point Harmony", "checkpoint"),
    Signature("Zscaler", "zscaler"),
    Signature("Netskope", "netskope"),
    Signature("Menlo Security", "menlosecurity"),
    Signature("Cloudflare Area 1", "area1"),
    Signature("Vade", "vadesecure"),
    Signature("Hornetsecurity", "hornetsecurity"),
    Signature("SpamTitan", "spamtitan"),
    Signature("Cyren", "cyren"),
    Signature("Cloudmark", "cloudmark"),
    Signature("AppRiver", "appriver"),
    Signature("IRONSCALES", "ironscales"),
    Signature("INKY", "inkyphishfence"),
    Signature("GreatHorn", "greathorn"),
    Signature("Perception Point", "perception-point"),
    Signature("PhishTank", "phishtank"),
    Signature("VirusTotal", "virustotal"),
    Signature("urlscan.io", "urlscan"),
)
