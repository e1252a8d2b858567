"""What the words and codes of a failed delivery mean. Data only; `postfleet.smtp_reply` reads it.

TEXT_RULES: the first that matches decides, so what is about the sender stands before what is about
the recipient, and the specific before the general. Patterns are matched without case on text whose
addresses were replaced by `@`; every repetition in them is bounded.

Sources: RFC 3463, RFC 5248, RFC 7372, RFC 7504, RFC 7505 and the IANA registry of enhanced status
codes; Microsoft's list of NDR codes, Google's list of SMTP error messages, the postmaster pages of
Yahoo, Apple, Comcast, Orange, GMX/WEB.DE, T-Online, Mail.ru, Yandex, QQ and NetEase; the sources and
manuals of Postfix, Exim, Sendmail, qmail, Dovecot, Domino, Mimecast, Proofpoint and Barracuda.
"""

# ruff: noqa: RUF001 (letters of other scripts are meant)

from typing import NamedTuple

HARD, SOFT, POLICY = "hard", "soft", "policy"

#: Every category, its usual severity, and what it means to an operator.
CATEGORIES = {
    "unknown_user": (HARD, "there is no such mailbox"),
    "disabled": (HARD, "the mailbox was closed, or lies idle"),
    "moved": (HARD, "the recipient has another address now"),
    "bad_domain": (HARD, "the domain does not exist, or takes no mail"),
    "bad_address": (HARD, "the address is malformed"),
    "mailbox_full": (SOFT, "over quota"),
    "mailbox_problem": (SOFT, "the mailbox cannot be written to now"),
    "greylisted": (SOFT, "come back in a few minutes"),
    "rate_limited": (SOFT, "too many mails, recipients or connections"),
    "expired": (SOFT, "tried for too long"),
    "connection": (SOFT, "the server cannot be reached, or hung up"),
    "dns": (SOFT, "the name could not be looked up now"),
    "system_problem": (SOFT, "the receiving system is out of order, or wrongly set up"),
    "system_full": (SOFT, "the receiving system has no space left"),
    "routing_loop": (SOFT, "the mail went in circles"),
    "encryption": (SOFT, "TLS could not be agreed upon"),
    "protocol": (SOFT, "the servers did not understand each other"),
    "temporary": (SOFT, "not now, without a reason"),
    "spam": (POLICY, "the mail looks like spam"),
    "virus": (POLICY, "the mail has, or may have, malware"),
    "content": (POLICY, "something in the mail is not accepted"),
    "too_large": (POLICY, "the mail is too large"),
    "reputation": (POLICY, "our address or network is on a blocklist"),
    "reverse_dns": (POLICY, "our address has no matching name"),
    "authentication": (POLICY, "SPF, DKIM or DMARC fail"),
    "sender_rejected": (POLICY, "the sender's address or domain is refused"),
    "relaying": (POLICY, "the server does not take mail for that domain from us"),
    "restricted": (POLICY, "the recipient takes mail from some people only"),
    "policy": (POLICY, "a rule of the receiver, without a reason"),
    "other": (SOFT, "nothing known about it"),
}


class TextRule(NamedTuple):
    category: str
    pattern: str
    severity: str = ""  # "": that of the category


_WHO = (
    r"(?:user|recipient|mail ?box|account|(?:mail)?address|e-?mail|addressee|person|alias|id|"
    r"customer|subscriber)"
)

TEXT_RULES = (
    TextRule(
        "dns",
        r"not found,? (?:please )?try again|temporary (?:dns|lookup|resolution)|dns check fail|"
        r"(?:malformed|unexpected) name server",
    ),
    TextRule(
        "sender_rejected",
        r"sender (?:address |domain |e-?mail |id )?(?:<?@>? )?(?:was |is |has been |could not be |"
        r"not )?(?:rejected|denied|refused|blocked|blacklisted|unknown|invalid|verif\w+|verify|"
        r"(?:does )?not (?:exist|found|allowed|permitted|accepted|verified|listed))|(?:unknown|"
        r"invalid|bad|illegal|unauthori[sz]ed|unrout\w+|undeliverable|blocked|banned) (?:outbound )?"
        r"sender\b|(?:sending|sender'?s?|originat\w+|return|from|your) (?![^;]{0,80}"
        r"(?:dmarc|dkim|\bspf|authentic|aligned))(?:(?:e-?)?mail )?(?:address|domain|user|"
        r"account|mailbox|name)s?\W{1,3}(?:@ )?(?:is |was |has |been |does |could |currently |"
        r"temporarily )*(?:not|n['’]t|un\w+|in(?:valid|active)|blocked|black\w+|rejected|refused|"
        r"denied|disabled|suspended|locked)\b|\bvalid from\b(?! header)|"
        r"(?:mail ?from|envelope sender)(?: domain| address)?\W{1,3}(?:@\W{1,3})?(?:is |was )?(?:must|"
        r"mismatch|fail|invalid|denied|refused|rejected)|"
        r"blocked senders?\b|verification failed for|sender callout|domain of sender|"
        r"header from address|invalid ip\b|sender (?:e-?mail|address) is not in\b|backscatter|\bBATV\b|"
        r"not accept(?:ing|s)? (?:any )?(?:e-?)?(?:mail|message)s? from (?:this sender|the sender|"
        r"you\b)|"
        r"sender'?s? (?:domain|address)[^;]{0,60}(?:resolve|exist|not found|invalid|not valid)|"
        r"sender (?:<?@>? )?has (?:no (?:a|mx|dns|valid)|(?:a )?null mx)\b|"
        r"not owned by (?:auth )?user|SendAsDenied|\bforge[dr]|null sender is not|(?:reverse|"
        r"return)[- ]path[^.]{0,30}(?:invalid|reject)|mail from[: ]<?@?>?[^.]{0,30}(?:not allowed|"
        r"denied|refused|rejected)|you are not allowed to send (?:mail )?from|expéditeur (?:refus|"
        r"rejet|inconnu)|absender(?:adresse)? (?:abgelehnt|gesperrt|unbekannt)|"
        r"remitente (?:rechazado|bloqueado|desconocido)|発信者",
    ),
    TextRule(
        "greylisted",
        r"gr[ae]y[- ]?list|\btriplet\b|\bgreyl\b|too (?:soon|early) to retry|unfamiliar sender|"
        r"internal resources are temporarily unavailable|temporarily deferred due to first|"
        r"come back (?:later|in \d)|first[- ]time (?:contact|sender|connection)|please (?:try|"
        r"retry) (?:again )?in \d+ ?(?:s|min|sec)",
    ),
    TextRule(
        "mailbox_full",
        r"(?:mail ?box|in-?box|account|box|mail ?drop|maildir|mail ?folder|storage|"
        r"user)\W{1,3}(?:@ )?(?:is |was |has |over ?|size |disk |already |currently |"
        r"too )*(?:full|over ?quota|quota|over (?:its|the|his) )|over ?[- ]?quota|"
        r"quota[- ](?:exceed\w*|limit|violation|is full|has been)|OverQuota|"
        r"(?<!Submission)QuotaExceeded|quota des empfängers|"
        r"(?:exceed\w*|over|out ?of|beyond|above)[^.]{0,40}\b(?:disk ?)?(?:quota|storage|"
        r"mailbox size|mailbox limit|disk space limit|size of (?:the )?mailbox)|(?:not enough|"
        r"insufficient|no) (?:free |disk |mail |available )?(?:storage|space)[^.]{0,30}(?:mailbox|"
        r"user|account|recipient)|mailbox[^.]{0,40}(?:size limit|exceeded|no space|too large|"
        r"full)|mailbox[^.]{0,20}reached (?:the |its )?max\w* (?:number of )?messages|"
        r"storage (?:limit|quota|allocation)|exceeded storage|full mailbox|"
        r"remaining (?:\w+ )?(?:space|quota|storage)|"
        r"(?:storage|quota|space|mailbox)[^.;]{0,30}exhausted|"
        r"\bquota (?:is |was )(?:over|used|reached)|mailbox exceeds|mailbox full|"
        r"mail(?:box)? quota[^.;]{0,30}exceeded|quota (?:of|for) [^.;]{0,30}(?:exceeded|reached|used up)|"
        r"larger than the (?:available |remaining )?space|MailboxFull|mail ?file size exceeds|"
        r"(?:not|n['’]t) (?:have )?(?:enough|sufficient) (?:\w+ )?(?:space|"
        r"room|storage)[^.;]{0,30}\b(?:mail|user|account|recipient)|\b(?:mail ?box|user|account|"
        r"recipient)"
        r"\b[^.;]{0,40}(?:not|n['’]t) (?:have )?(?:enough|sufficient) (?:\w+ )?(?:space|room|storage)|"
        r"\bspace[^.;]{0,20}used up|(?:writing|append|access)[^;]{0,120}: file too large|"
        r"too (?:much|many) (?:mail|messages|data) (?:in|on) (?:the |this |"
        r"that )?(?:mail ?box|user|account)|would (?:exceed|be over)[^.]{0,30}(?:quota|"
        r"limit of the mailbox)|quota exceed|disk quota|(?:boîte|boite)[^.]{0,60}(?:pleine|"
        r"saturée)|dépass\w+ (?:le|son) quota|(?:postfach|mailbox|speicher\w*)[^.]{0,60}(?:voll\b|"
        r"überfüllt|überschritten|erschöpft)|buz[oó]n[^.]{0,60}lleno|casilla[^.]{0,40}llena|"
        r"casella[^.]{0,40}piena|caixa[^.]{0,60}(?:cheia|lotada)|skrzynk\w+[^.]{0,40}(?:pełn|"
        r"przepełn)|ящик[^.]{0,60}(?:переполнен|полон)|postvak[^.]{0,40}vol\b|邮箱已满|"
        r"邮箱[空容][间量]?[不已][足满]|信箱已滿|容量を超え|メールボックス[^.]{0,20}(?:満|いっぱい)|LPN\d+_401",
        SOFT,
    ),
    TextRule(
        "rate_limited",
        r"rate[- ]?limit|\bthrottl|too (?:many|much) (?:\w+ ){0,3}?(?:messages|connections?|"
        r"recipients|mails?|e-?mails|sessions|requests|rcpt|concurrent|users|errors|invalid|attempts|"
        r"commands|traffic|concurrency)|receiving mail (?:at a rate|too quickly)|ReceivingRate|"
        r"(?:frequency|concurrent \w+) (?:is )?limit|(?:daily|hourly|monthly|per (?:hour|day|"
        r"minute))[^.]{0,30}(?:limit|quota|maximum)|(?:sending|message|mail|recipient|submission|"
        r"relay|connection|outgoing)s? (?:rate |count )?(?:limit|quota) (?:\w+ ){0,3}(?:exceed|"
        r"reach)|max(?:imum)? (?:defers|e-?mails?(?! size)|number of (?:messages|recipients|connections))|"
        r"\brate (?:limit )?(?:was |has been |is )?exceed|exceed\w*[^.]{0,60}(?:per (?:hour|day|"
        r"minute|second)|rate limit|message rate|"
        r"sending limit|daily)|limit exceeded for|unusual rate|slow down|over the (?:rate|limit)|"
        r"(?:is |been )deferred due to (?:user )?(?:complaints|unusual|excessive)|"
        r"\[TSS0[1-9]\](?! [^;]{0,60}(?:permanently|not be accepted))|"
        r"excessive (?:rate|number|volume)|going over quota|has exceeded (?:its|their|"
        r"the) (?:message|limit|threshold)|trop de (?:connexions|messages|destinataires)|"
        r"OFR\d*_10[3-5]|\bRP:(?:QRC|TRC)|\bHL:(?:ITC|IFC|ICC)|\bMI:(?:CEL|DMC|CCL)|RL0000\d\d|"
        r"\brate (?:(?!at )\w+ ){0,2}(?:above|too high|higher)|"
        r"temporarily (?:deferred|delayed) due to|(?:disabled|blocked|"
        r"suspended) temporar\w+ (?:for|due|because)|"
        r"number of recipients[^.;]{0,40}exceed|message (?:count|threshold)\b|outbound thread limit|"
        r"ratelimit|SubmissionQuota|limits for how many messages|too much mail from",
    ),
    TextRule(
        "encryption",
        r"must issue a STARTTLS|requires? (?:\w+ )?(?:encryption|TLS\b|SSL\b)|(?:TLS|SSL|"
        r"encrypt\w+|STARTTLS)[^.]{0,25}(?:required|needed|"
        r"mandatory|not offered|not available|negotiation|handshake|failed)|TLS is required|"
        r"certificate[^.]{0,40}(?:trusted|verif|expired|invalid)|MTA-?STS|\bDANE\b|"
        r"cannot start TLS|TLSA record|certificate[^.]{0,20}(?:not match|mismatch)",
    ),
    TextRule(
        "authentication",
        r"\bSPF\b|\bDKIM\b|\bDMARC\b|unauthenticated|sender policy framework|"
        r"not pass(?:ing)? authentication|authentication (?:checks?|information) |(?:lack|"
        r"missing)\w* (?:of )?(?:valid )?authentication|not authenticated to send|"
        r"authentication fail|invalid credentials|\buser ?names? (?:or|and) password|anti-?spoof|"
        r"spoof|not aligned with the authenticated",
    ),
    TextRule(
        "reverse_dns",
        r"reverse (?:\(address|dns)|(?:cannot|can['’]?t|unable to|could not) (?:resolve|"
        r"look ?up) your\b|reverse[- ]?(?:dns|hostname|lookup|mapping|record|resolution)|\bPTR\b|"
        r"cannot find your (?:reverse )?hostname|(?:no|without|missing|invalid|bad|"
        r"generic) (?:valid )?(?:r|reverse )dns\b|fcrdns|rdns\b|client host rejected: cannot find|"
        r"\bhelo\b[^.;]{0,60}(?:resolve|invalid|reject|mismatch)|"
        r"(?:invalid|bad|illegal|forged|mismatch\w*|unresolv\w+)[^.;]{0,20}\b[he][he]lo\b|"
        r"ip (?:address )?(?:does not resolve|has no name|(?:name )?lookup fail)|dns (?:lookup|"
        r"verification) (?:of|for) (?:your|the connecting)|unresolvable (?:client|ip)",
    ),
    TextRule(
        "bad_address",
        r"(?:bad|invalid|illegal|malformed|incorrect|improper) (?:\w+ )?(?:address|recipient|"
        r"mailbox|e-?mail) (?:syntax|format|name)|address (?:syntax|format)|"
        r"syntax (?:error )?in (?:\w+ )?(?:parameters? or )?(?:address|recipient|mailbox|forward)|"
        r"not (?:a )?(?:valid |legal )?RFC ?-?(?:2?821|5321|2?822|5322) (?:compliant )?address|"
        r"mailbox name (?:is )?(?:invalid|malformed)|domain missing|missing (?:domain|final '?@)|"
        r"malformed (?:e-?)?(?:mail ?)?address(?! (?:in|of|for))|bad recipient address syntax|"
        r"malformed (?:recipient|rcpt|to)\b",
    ),
    TextRule(
        "moved",
        r"recipient changed (?:the|his|her) |"
        r"(?:has|have) (?:moved|changed (?:its|their|his|her|the)? ?(?:e-?mail )?address)|"
        r"user not local; please try|please (?:use|try|update|"
        r"note)[^.]{0,30}new (?:e-?mail )?address|mailbox (?:has )?moved|address (?:has )?changed|"
        r"no longer (?:at|on) this (?:address|server|site)|account moved",
    ),
    TextRule(
        "disabled",
        r"hibernat|receiving (?:is )?disabled|(?:user|account|mailbox|"
        r"recipient)\b[^.;]{0,30}(?:can ?not|can['’]t|"
        r"unable to) receive|\b"
        + _WHO
        + r"s?\b[^.;]{0,40}?\b(?:is |are |has been |have been |was |were |being |temporarily |"
        r"administratively |permanently |"
        r"currently )*(?:disabled|inactiv\w*|deactivated|de-activated|suspended|closed|expired|"
        r"terminated|discontinued|cancell?ed|archived|locked|blocked due to inactivity|frozen|"
        r"dormant|on hold|revoked|retired|abandoned|not active|not activated|no longer active|"
        r"not currently active|de-?provisioned)\b|(?:disabled|inactive|suspended|closed|expired|"
        r"terminated|deactivated|dormant|locked) (?:user|account|mailbox|recipient|address|"
        r"mail drop|e-?mail)|DisabledUser|InactiveUser|account[^.]{0,20}not in use|"
        r"not accepting (?:any )?(?:mail|messages|e-?mail)s? (?:for|from|to) (?:this|that|the|@)|"
        r"(?:mailbox|user|recipient|account|address|employee|@>?) (?:is |are )?(?:no longer|"
        r"not) accept\w* (?!(?:any )?(?:e-?)?(?:mail|message)s? from)|"
        r"no longer (?:\w+ ){0,2}?(?:active|available|valid|employed|works?|"
        r"accepts?|in use|in service|exists?|with (?:us|the)|receiv\w+|monitored|a (?:valid|"
        r"customer|member))|boite du destinataire archivee|OFR\d*_417|mailbox disabled|"
        r"user (?:is )?terminated|(?:account|mailbox|user) (?:has been )?(?:deleted|removed|"
        r"purged)|compte (?:\w+ ){0,4}(?:désactivé|fermé|suspendu|bloqué|cl[oô]turé)|konto (?:ist |"
        r"wurde )?(?:deaktiviert|"
        r"gesperrt|geschlossen)|cuenta (?:\w+ ){0,2}(?:deshabilitada|desactivada|suspendida|"
        r"cancelada)|conta (?:\w+ ){0,2}(?:desativada|inativa|suspensa)|"
        r"konto (?:zostało )?(?:zablokowane|nieaktywne|wyłączone)|аккаунт (?:отключ|заблок)|"
        r"ящик (?:заблокирован|отключ|удал)|(?:账号|帐号|帳號|用户)(?:已)?(?:被)?(?:停用|禁用|锁定|冻结)",
    ),
    TextRule(
        "unknown_user",
        r"(?:unknown|no such|non-?existent|invalid|undefined|unrecogni[sz]ed|nonexisting|illegal|"
        r"bad|incorrect|wrong|inexistent|unrouteable|unroutable|undeliverable|"
        r"unresolvable) (?:\w+ )?(?:local[- ]?part|user|usuario|recipient|mailbox|person|address|"
        r"addressee|account|alias|e-?mail|customer|destination (?:mailbox )?address|forwarding|"
        r"to address|name|id|inbox|forward[- ]path|final delivery|virtual)|"
        + _WHO
        + r"s?\b[^.;]{0,60}?\b(?:is |are |was |were |be )?(?:unknown|not (?:be )?(?:found|exist\w*|"
        r"known|valid|recogni[sz]ed|listed|registered|on (?:this|the) (?:server|system)|here|"
        r"local|our customer|a (?:valid|known)|in (?:our|the|this|my|ldap|domino)|hosted|"
        r"identif\w+|provisioned|defined|served|configured|available (?:on|at) this|locally)|"
        r"invalid|nonexist\w*|non-existent|undeliverable|does ?n[o'’]?t ?(?:exist|live|seem)|"
        r"doesn['’]?t exist|didn['’]?t exist|no existe|unrouteable|could ?n[o'’]?t ?be found|"
        r"(?:can|could)(?:not| ?n['’]t) (?:be )?(?:find|found|resolved|located|verified)|"
        r"wasn['’]?t found|not a (?:valid|known|real)|absent|inexistant|unroutable)\b|"
        r"(?:does(?:n['’]?t| not)|didn['’]?t|do(?:n['’]t| not)|cannot|can['’]?t|not|unable to|"
        r"could(?:n['’]t| not)) (?:find|know|recogni[sz]e|locate|match|resolve|"
        r"have an?)[^.;]{0,30}\b(?:user|account|mailbox|recipient|address|customer|person|"
        r"addressee|yahoo)\b|has no (?:mailbox|account)|no (?:mailbox|account|user|one|body|"
        r"person|customer|recipient)[^.;]{0,30}(?:here|by that name|with (?:this|that)|found|"
        r"exist|called|named)|not our customer|doesn['’]t have a|wasn['’]t found at|"
        r"address (?:couldn['’]t be found|error|unknown)|RecipientNotFound|RecipNotFound|"
        r"NoSuchUser|ExRecipNotFound|not listed in|user_unknown|mailbox (?:not|name not) (?:found|"
        r"allowed|available|exist)|unknown or illegal (?:alias|user|recipient)|"
        r"recipient (?:<?@>? )?(?:address )?(?:has been |was )?(?:rejected|refused|denied|"
        r"unknown)[:.]? ?(?:\(?(?:user|undeliverable|unknown|unverified|invalid|no such|not found|"
        r"local|does not|recipient|mailbox|address))|#5\.1\.0 address rejected|"
        r"(?<!recipient )(?<!sender )(?<!client )\baddress rejected(?!: )|"
        r"#?5\.1\.1[ :#)-]{0,3}(?:bad destination|address|mailbox|user|delivery)|"
        r"not found in (?:the |our |an? )?(?:\w+ )?(?:ldap|directory|address book|table|database)|"
        r"reject\w*:? no (?:such )?user|account (?:is )?unavailable|"
        r"mailbox unavailable or access denied|addressee unknown|"
        r"delivery error: dd|"
        r"not (?:a )?(?:valid|known) (?:user|recipient|mailbox|address|account)|typo(?:s|"
        r"graph)? in|e-?mail account (?:that you tried to reach )?does not exist|"
        r"does not (?:currently )?have a mailbox|destin\w+ (?:inconnu|invalide|inexistant|"
        r"desconocid|sconosciut|non valid|non esist|no existe|não existe|incorrect)|"
        r"utilisateur (?:inconnu|inexistant)|adresse[^.;]{0,40}(?:inconnue|invalide|inexistante|"
        r"n['’]existe|introuvable)|(?:empfänger|benutzer|adresse|postfach|mailbox|konto|"
        r"user)[^.;]{0,60}(?:unbekannt|existiert nicht|nicht (?:bekannt|gefunden|vorhanden|"
        r"verfügbar|zustellbar)|ungültig|gibt es nicht)|unbekannte[rs]? (?:empfänger|benutzer|"
        r"adress)|(?:usuario|dirección|buz[oó]n|cuenta|casilla|direccion)[^.;]{0,40}(?:desconocid|"
        r"no existe|no (?:fue |se )?encontr|inválid|inexistente)|(?:utente|casella|indirizzo|"
        r"destinatario|account)[^.;]{0,40}(?:sconosciut|inesistente|non (?:esiste|trovat|valid))|"
        r"(?:usuário|usuario|caixa|endereço|conta\b|destinatário)[^.;]{0,40}(?:desconhecid|"
        r"não (?:existe|encontrad)|inexistente|inválid)|nieznany (?:użytkownik|odbiorca|adres)|"
        r"(?:konto|użytkownik|skrzynka|adresat|odbiorca)[^.;]{0,30}(?:nie istnieje|nieznan)|"
        r"(?:kein|keine) (?:postfach|benutzer|konto|mailbox|empfänger|adresse)\b|"
        r"(?:onbekende|ongeldige?) (?:gebruiker|ontvanger|adres|geadresseerde)|"
        r"(?:gebruiker|ontvanger|postvak|adres|mailbox)[^.;]{0,40}(?:onbekend|bestaat niet|"
        r"niet gevonden)|(?:ingen|intet) (?:bruger|bruker|användare|postkasse|mottaker|modtager)|"
        r"(?:bruger|bruker|modtager|mottaker|postkasse)\w*[^.;]{0,30}(?:ukendt|ukjent|findes ikke|"
        r"finnes ikke|eksisterer ikke)|ukendt (?:bruger|modtager)|ukjent (?:bruker|mottaker)|"
        r"(?:käyttäjää|vastaanottajaa|postilaatikkoa|osoitetta)[^.;]{0,20}ei (?:löydy|ole|tunneta)|"
        r"tuntematon (?:käyttäjä|vastaanottaja)|(?:uživatel|příjemce|schránka|adresát|"
        r"používateľ|príjemca)[^.;]{0,20}(?:neexistuje|neznám|nenalezen)|neznámý (?:uživatel|příjemce)|"
        r"(?:felhasználó|címzett|postafiók)[^.;]{0,20}(?:nem létezik|ismeretlen|nem található)|"
        r"nie ma (?:takie|te)\w+ (?:użytkownik|konta|adres|skrzynk|odbiorc)|"
        r"так(?:ого|ой) (?:пользовател|адрес|ящик|получател|користувач)\w* (?:нет|нема|не )|"
        r"không (?:tồn tại|tìm thấy)|tidak (?:ditemukan|dikenal|ada|wujud)|"
        r"okänd (?:användare|mottagare|adress)|bilinmeyen (?:kullanıcı|alıcı|adres)|"
        r"невідом\w+ (?:користувач|отримувач|одержувач|адрес)|"
        r"неизвестн\w+ (?:пользовател|получател|адрес)|"
        r"ismeretlen (?:felhasználó|címzett)|(?:utilizator|destinatar)\w*[^.;]{0,20}(?:inexistent|"
        r"necunoscut|nu exist)|(?:користувач|отримувач|адресат)\w*[^.;]{0,20}(?:не існує|не знайден|"
        r"невідом)|άγνωστος (?:χρήστης|παραλήπτης)|"
        r"(?:korisnik|primatelj|primalac|uporabnik|prejemnik)\w*[^.;]{0,20}(?:ne postoji|nije pronađen|"
        r"ne obstaja|nepoznat|neznan)|(?:nepoznat|neznan)[ai]? (?:korisnik|primatelj|primalac|"
        r"uporabnik|"
        r"prejemnik)|(?:потребител|корисник|прималац)\w*[^.;]{0,20}(?:не съществува|не постоји|"
        r"непознат)|непознат (?:корисник|потребител|получател)|tundmatu (?:kasutaja|saaja)|"
        r"nav tāda (?:lietotāja|adresāta)|nėra tokio (?:vartotojo|gavėjo)|"
        r"(?:użytkownik|skrzynka|adres|konto)[^.;]{0,30}nie istnieje|(?:пользовател\w+|адрес\w*|"
        r"ящик\w*|получател\w+)[^.;]{0,40}(?:не (?:найден|существует|зарегистр)|неизвест)|"
        r"(?:gebruiker|adres|postvak)[^.;]{0,40}(?:onbekend|bestaat niet|niet gevonden)|"
        r"(?:användare|mottagare|adress)\w*[^.;]{0,30}(?:okänd|finns inte)|"
        r"kullanıcı (?:bulunamadı|yok)|(?:用户|收件人|邮箱|地址|信箱|收件者)[^.;]{0,12}"
        r"(?:不存在|未找到|无效|不正確|不明)|宛先[^.;]{0,20}(?:不明|見つかり|存在)|"
        r"(?:ユーザ|アドレス|メールアドレス)[^.;]{0,20}(?:存在し|見つかり|不明|いません)|"
        r"[無无]此|aucun (?:utilisateur|destinataire|compte)|(?:alıcı|hesap) bulunamadı|"
        r"no existe (?:la|el|esa|ese|tal) (?:cuenta|buz|direc|usuario|destinat)|"
        r"사용자[^.;]{0,10}(?:없|알 수)|존재하지 않",
    ),
    TextRule(
        "bad_domain",
        r"\bNXDOMAIN\b|NonExistentDomain|null ?-?mx|unknown (?:mail )?(?:host|domain)|"
        r"unroute?able (?:mail )?domain|no such (?:host|domain)|(?:host|"
        r"domain)(?: or domain)?(?: name)?(?: \S+)? (?:is )?(?:unknown|not found|invalid|"
        r"does(?:n['’]?t| not) (?:exist|have (?:any )?(?:mail|mx))|not exist|"
        r"couldn['’]?t be found|no longer exists)(?!,? try again)|couldn['’]?t find (?:any|"
        r"a) (?:host|mail|mx|exchanger)|(?:invalid|nonexistent|bad|illegal) (?:destination |mail |"
        r"recipient )?(?:domain|host)\b|domain[^.;]{0,60}(?:wasn['’]t found|could not be found|"
        r"isn['’]t registered)|weren['’]?t able to find the recipient domain|BadRcptDomain|"
        r"no mail (?:host|server|exchanger)s? (?:found )?for (?:the )?domain|no (?:mx|"
        r"mail exchanger|valid mail)[^.;]{0,30}(?:found|exist|record|host)|"
        r"\bMX\b[^.;]{0,40}(?:non-?existent|no SMTP service)|does not (?:accept|"
        r"receive) (?:any )?(?:e-?)?mail(?!s? (?:from|over|with|via|by))|never accept\w* mail|"
        r"no route (?:found )?(?:to|"
        r"for) domain|no data record of requested type|Host unknown|domain (?:has )?expired|"
        r"domaine? (?:inconnu|inexistant)|domäne? (?:unbekannt|existiert nicht)|"
        r"dominio (?:desconocido|sconosciuto|inexistente|inesistente)|does not appear to be registered",
    ),
    TextRule(
        "routing_loop",
        r"\bloop(?:s|ing)?\b|\bpoints? (?:back|to itself)|too many hops|hop ?count|hops? exceeded|"
        r"loops? back|"
        r"too many (?:\"?received|routing)|best-preference MX",
    ),
    TextRule(
        "relaying",
        r"\brelay(?:ing|ed)?\b[^.;]{0,40}(?:denied|not (?:permitted|allowed|authori)|prohibit|"
        r"disabled|refused|access)|unable to relay|(?:not (?:permitted|allowed)|cannot|won['’]?t|"
        r"do(?:es)? not|denied|no|prohibit\w*|we do(?:n['’]t| not)) (?:to )?relay|"
        r"relay[- ]?access|\bas a relay\b|allowed to be relayed|rcpthosts|not (?:a )?local (?:domain|host)|"
        r"TenantAttribution|open relay|n['’]t (?:allowed|permitted|authori[sz]ed) to relay|"
        r"domain (?:is )?not (?:handled|hosted|served|allowed|local|configured|"
        r"in my list)|mail for @?[^.;]{0,30} not accepted|not a gateway|"
        r"isn['’]?t in my (?:control|list)|we do not (?:host|serve)",
    ),
    TextRule(
        "reputation",
        r"(?:block|black|deny|reject|drop)[- ]?list|spamhaus|spamcop|barracuda|sorbs|invaluement|"
        r"surbl|uribl|uceprotect|\bRBLs?\b|\bDNSBLs?\b|\bD?BL\b|\bPBL\b|\bXBL\b|\bSBL\b|"
        r"reputation|sender ?score|banned sending ip|senderbase|(?:client host|ip(?: address)?|"
        r"host|network|connection|server|sending mta)\b[^.;]{0,60}(?:blocked|banned|refused by|"
        r"listed|bloqu[ée]e|gesperrt)|blocked (?:using|for|-? ?see)|"
        r"connection (?:was |is )?(?:refused|rejected|denied)[, (]{0,2}(?:due to|because|for)\b|"
        r"bl(?:oc)?ked from|(?:your|from) (?:ip|network|server|host|isp)\b[^.;]{0,80}(?:block|ban|"
        r"reject|denied|spam|not allowed|refus)|is on (?:our|a|the) (?:\w+ )?list|AS\(\d+\)|"
        r"dynamic(?:ally)? (?:ip|assigned|address|network|range|pool)|dial-?up|residential|"
        r"not accepting mail from (?:you|your)|no smtp service|OFR\d*_102|DNS:NR|\bdul\b|S\d{7}|"
        r"\((?:CON|DYN|RLY):[A-Z]\w\)|suspicious network|open proxy|tosa@|\(BL\)|"
        r"access to this mail system has been rejected|your access to|"
        r"CloudMark|\bCBL\b|Trend ?Micro",
    ),
    TextRule(
        "spam",
        r"\bspam|junk|unsolicited|\bUCE\b|\bUBE\b|\bbulk\b|high probability|content (?:rejected|"
        r"filter|denied)|suspic\w+ |advertis|UnsolicitedMessage|looks like|identified as|"
        r"anti-?spam|\bSPM\b|pourriel|scored|(?:message|mail) (?:was |"
        r"has been )?(?:flagged|classified|detected)|user complaints|垃圾|\bMI:SP|DT:SP|"
        r"message (?:blocked|filtered)",
    ),
    TextRule(
        "virus",
        r"\bvirus\b|malware|infected|trojan|phish|\bworm\b|potential security issue|"
        r"dangerous attachment",
    ),
    TextRule(
        "expired",
        r"retry time(?:out| not reached)?(?: exceeded)?|delivery (?:time|"
        r"period)[^.;]{0,20}(?:expired|exceeded)|(?:message|mail|delivery|"
        r"queue)[^.;]{0,30}expired|(?:in|on) (?:the|our|my) queue (?:for )?too long|"
        r"queue[d]?[^.;]{0,20}too long|not been able to deliver|(?:could not|couldn['’]?t|was not|"
        r"unable to)[^.;]{0,30}(?:deliver\w*|sen[dt])[^.;]{0,30}(?:for|after|within|"
        r"in) (?:more than |the last |over )?\d+|delivery attempts? (?:ha\w+ )?(?:failed|"
        r"exhausted)|too many (?:failed )?(?:attempts|retries)|retr(?:ied|y)[^.;]{0,30}(?:\d+ |"
        r"several|given up|giving up|no more|maximum)|(?:no|not) (?:more|further) (?:retr|"
        r"attempt)|not going to try again|delivery time expired|maximum (?:retry|queue|"
        r"delivery) ?(?:time|attempts?)|timeout for delivery|"
        r"exceeded (?:the )?(?:maximum )?(?:retry|time|queue)",
        SOFT,
    ),
    TextRule(
        "too_large",
        r"(?:message|mail|e-?mail|size|body|header|data|attachment)s?\b[^.;]{0,40}(?:too (?:large|"
        r"big)|exceed\w*|larger than|over the (?:max|size|limit))[^.;]{0,60}|size limit|"
        r"MaxSizeError|maximum (?:message |mail |allowed )?size|exceeds (?:the )?(?:maximum|fixed|"
        r"allowed)|too (?:large|big)|RecipSizeLimit|SizeLimit|zu groß|trop (?:gros|volumineux|"
        r"grand)|demasiado grande|troppo grande|muito grande",
    ),
    TextRule(
        "system_full",
        r"insufficient (?:system |disk |server )?(?:storage|resources|space)|disk (?:is )?full|"
        r"no space left|out of (?:disk|memory|storage|space)|insufficient disk|"
        r"system (?:is )?full|not enough (?:disk|free|storage|system) |"
        r"spool (?:disk )?(?:is )?full|low disk|write error|cannot allocate|insufficientresources",
    ),
    TextRule(
        "dns",
        r"name (?:service|server) (?:error|:)|temporary (?:lookup|dns|resolution|name)|"
        r"dns (?:error|fail\w*|lookup|query|server|timeout|problem|temporar)|"
        r"host not found, try again|lookup (?:did not complete|fail|timed|defer)|cannot resolve|"
        r"could not resolve|servfail|unable to (?:look ?up|resolve)|resolve[^.;]{0,20}fail|"
        r"domain lookup",
        SOFT,
    ),
    TextRule(
        "connection",
        r"connection[^.;]{0,40}(?:expired|refused|timed? ?out|reset|lost|dropped|closed|fail\w*|aborted|"
        r"interrupted|died|broken|cannot|could not|terminat\w+|unexpectedly)|"
        r"network (?:is )?unreachable|no route to host|(?:unable|failed|cannot|could not|"
        r"couldn['’]?t|not able|wasn['’]?t able) (?:to )?(?:connect|establish|contact|reach|"
        r"open (?:a )?connection)|did(?:n['’]?t| not) (?:respond|answer|accept (?:our|my) )|"
        r"not respond|lost connection|(?:timed? ?out|timeout) |timed out|host (?:is )?(?:down|"
        r"unreachable)|not reachable|no answer from|unreachable|conversation with|"
        r"server (?:is )?(?:busy|too busy|down)|socket|hung up|closed (?:the )?connection|"
        r"connect to \S+ fail|broken pipe|(?<!: )EOF|no (?:servers|hosts) (?:available|"
        r"could be reached)|communication (?:problem|fail)",
        SOFT,
    ),
    TextRule(
        "restricted",
        r"not (?:authori[sz]ed|allowed|permitted|privileged)[^.;]{0,40}(?:to (?:send|mail|post|"
        r"deliver|contact)|recipient|group|list|user)|AuthRequired|RESOLVER\.RST|RestrictedDL|"
        r"recipient['’]s (?:preferences|privacy|settings)|accepts? (?:e-?mail|mail|"
        r"messages)[^.;]{0,60}\bonly\b|approved senders?\b|"
        r"only (?:accepts?|members|authenticated|allow|internal|authori[sz]ed|subscribers)|"
        r"(?:do(?:es)? not|don['’]?t) have (?:the )?(?:permission|necessary|right)|"
        r"permission (?:to send|denied)|requires? (?:sender )?authentication|"
        r"sender is not (?:a member|allowed|on)|restricted|restriction check|closed (?:group|"
        r"list)|members? only|authentication (?:is )?required|not accept(?:ing|s)? (?:mail|"
        r"messages) from|white ?-?list|administrative prohibition|"
        r"prohibited by (?:the )?(?:recipient|admin)|(?:filtered|"
        r"rejected) by (?:the )?(?:recipient|user|addressee)|recipient (?:blocked|"
        r"has (?:blocked|refused|rejected))|does not want",
    ),
    TextRule(
        "content",
        r"\bcontent\b|attachment|\bbanned: |file type|malformed|non-?compliant|RFC ?-?(?:2?822|5322|"
        r"2045|2047)|"
        r"(?:invalid|bad|missing|duplicate|illegal|multiple|too many)[^.;]{0,20}headers?|\bMIME\b|"
        r"bare LF|bare CR|line (?:is )?too long|8-?bit|message-?id (?:is )?(?:missing|required)|"
        r"\bURLs?\b|\blinks?\b|forbidden|blocked word|subject (?:not|contains)|from:? header|"
        r"illegal char|SMTPUTF8|\bbody (?:type|part)|message body",
    ),
    TextRule(
        "mailbox_problem",
        r"(?:unable|failed|cannot|can['’]?t|could(?:n['’]?t| not)|error|"
        r"not able)[^.;]{0,30}(?:open|writ|creat|access|lock|append|deliver to|stor\w+|sav\w+|"
        r"updat)[^.;]{0,30}(?:mailbox|mail ?file|file|maildir|folder|message|store|mail drop)|"
        r"STOREDRV|mailbox (?:is )?(?:temporarily |currently )?(?:busy|locked|corrupt|in use|"
        r"damaged|being)|mailbox (?:is )?(?:temporarily|currently) (?:un|not )available|"
        r"can['’]?t create|mailer error|command (?:died|time|fail)|local (?:delivery|"
        r"configuration) (?:fail|error)|unknown mailer|mail system (?:error|problem)|"
        r"permission denied|vdelivermail|maildrop|procmail|sieve",
        SOFT,
    ),
    TextRule(
        "system_problem",
        r"(?:service|server|system|facility|site)[^.;]{0,30}(?:unavailable|not available|shutting|"
        r"error|problem|maintenance|fail\w*|overload\w*|incorrectly|misconfig\w*|trouble)|"
        r"internal (?:server |software |system )?error|config(?:uration)? (?:error|problem)|"
        r"local (?:error|problem|configuration)|software (?:error|caused)|unexpected|backend|"
        r"database|\bLDAP\b|local resource|queue file|load (?:is )?too high|temporar\w+ (?:local |"
        r"system |server |service )?(?:problem|error|fail\w*|unavailable)|mail system|"
        r"resources? (?:temporarily|unavailable)|lookup|processing",
        SOFT,
    ),
    TextRule(
        "protocol",
        r"syntax error|bad sequence|command (?:not|unrecogni[sz]ed|unknown|parameter|"
        r"too long)|unrecogni[sz]ed command|not implemented|protocol|unknown command|"
        r"out of (?:order|sequence)|invalid (?:command|argument)|HELO|EHLO|need (?:MAIL|RCPT)|"
        r"(?:554|503) [^;]{0,30}no valid recipients|improper use",
    ),
    TextRule(
        "policy",
        r"permanently deferred|polic(?:y|ies)|access denied|denied|not (?:authori[sz]ed|allowed|"
        r"permitted|accepted|"
        r"acceptable)|prohibit\w*|refused|reject|block|banned|abuse|security|administrat|"
        r"unwelcome|not want|disallow|filter|transaction failed|message not|won['’]t accept|"
        r"abgelehnt|refus[ée]|rechazad|rifiutat|recusad|odrzucon|отклон|拒[绝否収]",
    ),
    TextRule(
        "temporary",
        r"try (?:again|later)|temporar|later|defer|retry|at this time|busy|transient",
        SOFT,
    ),
)

#: What only says that it is about an address: with 550, 551 or 553 enough to call it dead.
ABOUT_AN_ADDRESS = (
    r"mailbox|recipient|user|account|addressee|address\b|requested action not taken|@|\brcpt\b|"
    r"\b[ck]onto\b|indirizzo|\badres(?!se ip)|"
    r"utilisateur|destinat|usu[aá]rio|cuenta|utente|casella|empf[aä]nger|benutzer|postfach|odbiorc|"
    r"użytkown|skrzynk|gebruiker|ontvanger|geadresseerde|mottag|modtag|bruker|bruger|användar|"
    r"vastaanott|příjem|uživatel|schránk|címzett|felhasznál|utilizator|alıcı|kullanıcı|"
    r"получател|пользовател|адресат|ящик|отримувач|користувач|收件人|收件者|用户|使用者|"
    r"ユーザ|宛先|受信者|수신자|사용자|người (?:dùng|nhận)|penerima|pengguna"
)

#: … unless it is about us as well: who sends, from where, what.
ABOUT_THE_SENDER = (
    r"\bsend|\brelay|\bdns\b|\bclient\b|\bhelo\b|\bconnect|\bauthenticat|\bspam|\bip(?:v6)?\b(?!=)|"
    r"\byou are not\b|\byour (?:e-?mail|address|domain|network|account)"
)

#: Who or what is unknown or invalid is of the sender's side, where no recipient is named beside it.
SENDERS_SIDE = (
    r"\b(?:helo|ehlo)\b(?!=)|return[- ]path\b(?!:)|envelope[- ](?:sender|from)\b(?!:)|"
    r"reply[- ]to\b(?!:)|send(?:ing)? from\b|\burl (?:domain|host|is|does)"
)

#: What says that someone or something is not there (any more), and not who: with such a code it is
#: the recipient …
IS_GONE = (
    r"(?:not|n['’]t) exist|no longer|not known|(?:@|^\W*\d*)\W*unknown|\binactive|"
    r"\bis (?:now )?disabled|due to inactivity|employee|istniej|no exist|sconosciut|desconocid|"
    r"expirado|no such\b|not[ _]found|badrcptto|mail-box|incorrectly addressed|not (?:an? )?active\b"
)

#: … unless there is something else that it can be said of.
NO_RECIPIENT = (
    r"\bfrom\b|\bmessage\b|\bcontent|command|\bfile|\berror|\btls\b|\bservice (?:is|was|has)\b|"
    r"(?<!this )\bdomain\b|\bhost|\brecord|\breverse|\bkey\b|\blist\b|\bfeature|\bsupport"
)

#: With these words a mailbox is not closed for good.
ONLY_FOR_NOW = (
    r"tempor\w+|for the moment|(?:try|again|retry|back) (?:later|tomorrow|(?:in|after) )|"
    r"migrat|maintenance"
)

#: With these words and 4yz a check could not be made; that it was not passed is not said.
CHECK_NOT_MADE = (
    ONLY_FOR_NOW
    + r"|time ?d?[- ]?out|not respond|could not (?:complete|look|check|be checked)|deferred"
)

#: subject.detail of an enhanced status (RFC 3463) -> (category, severity, whether it outweighs words)
STATUS_RULES = {
    "1.0": ("unknown_user", HARD),
    "1.1": ("unknown_user", HARD),
    "1.2": ("bad_domain", HARD),
    "1.3": ("bad_address", HARD),
    "1.4": ("unknown_user", HARD),
    "1.5": ("other", SOFT),
    "1.6": ("moved", HARD),
    "1.7": ("sender_rejected", POLICY),
    "1.8": ("sender_rejected", POLICY),
    "1.9": ("other", SOFT),
    "1.10": ("bad_domain", HARD),  # RFC 7505: null MX; Exchange says it in words
    "1.20": ("sender_rejected", POLICY),
    "1.90": ("rate_limited", SOFT),
    "2.0": ("mailbox_problem", SOFT),
    "2.1": ("disabled", HARD),
    "2.2": ("mailbox_full", SOFT),
    "2.3": ("too_large", POLICY),
    "2.4": ("mailbox_problem", SOFT),
    "2.121": ("rate_limited", SOFT),
    "2.122": ("rate_limited", SOFT),
    "3.0": ("system_problem", SOFT),
    "3.1": ("system_full", SOFT),
    "3.2": ("system_problem", SOFT),
    "3.3": ("system_problem", SOFT),
    "3.4": ("too_large", POLICY),
    "3.5": ("system_problem", SOFT),
    "4.0": ("connection", SOFT),
    "4.1": ("connection", SOFT),
    "4.2": ("connection", SOFT),
    "4.3": ("dns", SOFT),
    "4.4": ("bad_domain", HARD),
    "4.5": ("rate_limited", SOFT),
    "4.6": ("routing_loop", SOFT),
    "4.7": ("expired", SOFT),
    "4.14": ("routing_loop", SOFT),
    "4.310": ("bad_domain", HARD),
    "4.312": ("dns", SOFT),
    "4.316": ("expired", SOFT),
    "5.0": ("protocol", SOFT),
    "5.3": ("rate_limited", SOFT),
    "4.300": ("expired", SOFT),
    "4.317": ("connection", SOFT),
    "4.318": ("connection", SOFT),
    "6.0": ("content", POLICY),
    "7.0": ("policy", POLICY),
    "7.1": ("policy", POLICY),
    "7.2": ("restricted", POLICY),
    "7.5": ("encryption", SOFT),
    "7.8": ("restricted", POLICY),
    "7.10": ("encryption", SOFT),
    "7.17": ("moved", HARD),  # RFC 7293: the mailbox has another owner now
    "7.20": ("authentication", POLICY),
    "7.21": ("authentication", POLICY),
    "7.22": ("authentication", POLICY),
    "7.23": ("authentication", POLICY),
    "7.24": ("authentication", POLICY),
    "7.25": ("reverse_dns", POLICY),
    "7.26": ("authentication", POLICY),  # RFC 7372
    "7.27": ("sender_rejected", POLICY),
    "7.28": ("rate_limited", POLICY),
    "7.29": ("authentication", POLICY),
    "7.30": ("authentication", POLICY),
    "7.32": ("authentication", POLICY),
    "7.60": ("sender_rejected", POLICY),
    "7.64": ("relaying", POLICY),
    "7.124": ("restricted", POLICY),
    "7.129": ("restricted", POLICY),
    "7.133": ("restricted", POLICY),
    "7.134": ("restricted", POLICY),
    "7.193": ("restricted", POLICY),
    "7.367": ("relaying", POLICY),
    "7.500": ("rate_limited", SOFT),
    "7.501": ("sender_rejected", POLICY),
    "7.502": ("sender_rejected", POLICY),
    "7.503": ("sender_rejected", POLICY),
    "7.508": ("rate_limited", SOFT),
    "7.509": ("authentication", POLICY),
    "7.511": ("reputation", POLICY),
    "7.512": ("content", POLICY),
    "7.515": ("authentication", POLICY),
    "7.606": ("reputation", POLICY),
    "7.705": ("rate_limited", SOFT),
    "7.708": ("reputation", POLICY),
    "7.750": ("sender_rejected", POLICY),
}

#: (status, words): what a provider means by a status and words that others mean otherwise.
PROVIDER_RULES = (
    (
        r"[45]\.4\.1\b",
        r"recipient address(?:es)? rejected ?: access denied",
        ("unknown_user", HARD),
    ),
    (r"5\.4\.1\b", r"(?:mail|message) (?:was )?reject", ("policy", POLICY)),
    (r"5\.5\.0\b", r"mailbox unavailable|requested action not taken", ("unknown_user", HARD)),
    (
        r"5\.7\.1\b",
        r"no such user|user unknown|unknown user|"
        r"(?:user|recipient|account|mailbox|(?<!ip )address|@>?)[^.;]{0,30}does not exist",
        ("unknown_user", HARD),
    ),
    (r"5\.[01]\.[01]\b", r"recent history of bouncing", ("unknown_user", HARD)),
    (
        r"5\.2\.1\b",
        r"not accept (?:delivery of )?(?:this|your) (?:message|mail)",
        ("policy", POLICY),
    ),
    (r"[45]\.7\.32\b", r"aligned|authenticated", ("authentication", POLICY)),
    (r"5\.7\.50[123]\b", r"access denied", ("sender_rejected", POLICY)),
    (r"4\.7\.500\b", r"server busy", ("rate_limited", SOFT)),
    (r"5\.1\.2\b", r"\buser reject", ("restricted", POLICY)),
    (r"5\.7\.5\b", r"policy reasons", ("policy", POLICY)),
    (
        r"5\.1\.0\b",  # IronPort's words for the status, then what the server said
        r"unknown address error '?(?![^']{0,200}(?:unknown|no such|exist|invalid|found|mailbox))"
        r"[^']{0,200}(?:spam|block|polic|reputation|black)",
        ("policy", POLICY),
    ),
    (r"", r"unusual rate[^;]{0,200}has been blocked", ("reputation", POLICY)),
    (r"", r"suppress(?:ed|ion)", ("restricted", POLICY)),
    (r"", r"\btriplet\b", ("greylisted", SOFT)),  # of address, sender and recipient: see it again
    (r"[45]\.4\.4\b", r"no mail-enabled subscriptions", ("system_problem", SOFT)),
)

#: Where there is nothing else to go by: the phase in which a 5yz came (RFC 5321 §3)
PHASE_RULES = {
    "connect": ("reputation", POLICY),
    "helo": ("policy", POLICY),
    "starttls": ("encryption", SOFT),
    "auth": ("policy", POLICY),
    "mail": ("sender_rejected", POLICY),
    "data": ("policy", POLICY),
    "dot": ("policy", POLICY),
}

#: … and last the basic code (RFC 5321 §4.2.3, RFC 7504)
CODE_RULES = {
    500: ("protocol", SOFT),
    501: ("protocol", SOFT),
    502: ("protocol", SOFT),
    503: ("protocol", SOFT),
    504: ("protocol", SOFT),
    510: ("bad_address", HARD),
    511: ("unknown_user", HARD),
    512: ("bad_domain", HARD),
    513: ("bad_address", HARD),
    521: ("bad_domain", HARD),
    523: ("too_large", POLICY),
    530: ("encryption", SOFT),
    535: ("policy", POLICY),
    550: ("policy", POLICY),
    551: ("unknown_user", HARD),
    552: ("mailbox_full", SOFT),
    553: ("policy", POLICY),
    554: ("policy", POLICY),
    556: ("bad_domain", HARD),
    571: ("policy", POLICY),
}
