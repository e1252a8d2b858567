"""How notices that carry no report are recognised: authors, subjects and sentences of mail systems.

Sources: the bounce templates of Postfix, Exim (bounce_message_file, warn_message_file), qmail-send,
Sendmail, Courier, Exchange 5.5 to 365 with its localisations, Gmail, Yahoo, AOL, Domino, GroupWise,
IMail, MailEnable, MDaemon, Kerio, Zimbra, CommuniGate, GMX, T-Online, Orange, Mail.ru and QQ.
"""

# ruff: noqa: RUF001 (letters of other scripts are meant)

#: Local parts of authors of delivery notices begin so.
BOUNCE_AUTHORS = (
    "mailer-daemon",
    "mailerdaemon",
    "mailer_daemon",
    "mailer-daemons",
    "postmaster",
    "mail-daemon",
    "maildaemon",
    "mmdf",
    "mailsystem",
    "mail-system",
    "mdaemon",
    "microsoftexchange",
    "bounce-notification",
    "delivery-status",
    "maildeliverysystem",
    "mail.delivery",
    "emailservice-bounce",
    "mail_router",
    "mail-router",
    "mailrouter",
)

#: … and so, of robots that write of other things too: believed where the words leave no doubt.
ROBOTS = (
    "no-reply",
    "noreply",
    "no_reply",
    "donotreply",
    "do-not-reply",
    "post_master",
    "mail-admin",
)

#: The first sentences of mail systems; a human has no reason to write them.
TEMPLATES = (
    r"^(?:hi\W{1,3}|hello\W{1,3})?this is the .{1,60}(?:mail (?:server|system)|mailer|send program|"
    r"delivery agent)|^this (?:message|mail|report) was (?:created|generated) automatically by|"
    r"^i['’]m afraid i wasn['’]t able to deliver|^your message did not reach|"
    r"^(?:diese|ceci|este|questo|dit)\W[^\n]{0,40}(?:mail[- ]?server|mailsystem|serveur de mess)"
)

#: The display name of such an author.
BOUNCE_NAMES = (
    r"mail(?:er)?[- ]?daemon|mail delivery (?:sub)?system|mail delivery service|postmaster|"
    r"system administrator|mail administrator|internet mail delivery|mail system|"
    r"delivery (?:subsystem|service|status)|mail router|system(?:-| )?administrator|"
    r"administrateur systeme?|"
    r"systemadministrator|microsoft outlook|exchange|mail transfer agent|smtp (?:server|gateway)"
)

BOUNCE_SUBJECTS = (
    r"undeliver(?:ed|able|y)|undelivered mail returned|(?:e-?)?mail delivery (?:failed|failure|"
    r"subsystem|system|error|problem|notification|status|report|warning)|mail (?:system )?error|"
    r"delivery (?:status )?(?:notification|failure|failed|has failed|error|problem|report|status)|"
    r"failure (?:notice|delivery|notification)|returned (?:mail|e-?mail|message|to sender)|"
    r"mail (?:could )?not (?:be )?delivered|message (?:could )?not (?:be )?(?:delivered|sent)|"
    r"could not (?:be )?deliver|undelivered|undeliv|bounced? (?:mail|message)|nondeliverable|"
    r"non[- ]?delivery|NDN:|\bDSN\b|rejected mail|mail failure|message status - undeliverable|"
    r"e?mail failed|failed mail|permanent (?:delivery )?(?:failure|error)|invalid recipient|"
    r"user unknown|unknown (?:user|recipient|address)|warning: e-?mail|not delivered|delivery failure|"
    r"non[- ]?remis|échec de (?:la )?remise|non distribu|notification d['’]état de (?:la )?remise|"
    r"message non (?:remis|livré|délivré)|erreur de (?:livraison|remise)|"
    r"unzustellbar|nicht zugestellt|nicht zustellbar|zustellung[^\n]{0,30}(?:fehlgeschlagen|nicht)|"
    r"benachrichtigung (?:über|zum) (?:den )?(?:zustell|übermittlungs)|zustellfehler|"
    r"onbestelbaar|niet (?:bezorgd|afgeleverd|bestelbaar)|bezorging[^\n]{0,20}mislukt|"
    r"no se (?:puede|pudo|ha podido) entregar|no entregado|no se entreg|error de entrega|"
    r"notificación de (?:estado|error)|devuelto|devolución|imposible entregar|"
    r"mancata consegna|non recapitabile|non (?:è stato )?(?:consegnat|recapitat)|errore di consegna|"
    r"mancato recapito|nie dostarczono|niedostarczon|nie można dostarczyć|zwrot|błąd dostarcz|"
    r"não (?:foi )?(?:entregue|entregável|pôde ser entregue)|falha (?:na|de|ao) (?:entrega|envi|"
    r"entregar)|"
    r"não é possível entregar|mensagem (?:não entregue|devolvida)|"
    r"kan ikke leveres|ikke levert|ikke leveret|kunne ikke leveres|kunde inte levereras|olevererbart|"
    r"ej levererat|går inte att leverera|ei voitu toimittaa|toimitus epäonnistui|toimittamat|"
    r"nedoručiteln|nedoručen|kézbesíthetetlen|sikertelen kézbesítés|"
    r"недоставлен|не доставлен|невозможно доставить|не удалось доставить|ошибка доставки|"
    r"невручен|не може бути доставлен|teslim edilemedi|iletilemedi|gönderilemedi|"
    r"μη παραδοτέο|αποτυχία παράδοσης|"
    r"配信不能|配信できませんでした|配信エラー|送信できません|未配信|不達|"
    r"未送达|退信|无法送达|无法投递|投递失败|傳送失敗|無法傳遞|未傳遞|退件|"
    r"배달되지 않음|배달 실패|반송|전송 실패|"
    r"nebol[ao]? doručen|nepodaril[oa] sa doručiť|nepodařilo (?:se )?doručit|nebyl[ao]? doručen|"
    r"nije (?:isporučen|dostavljen)|није (?:испоручен|достављен)|ni bil[ao]? (?:mogoče )?dostav|"
    r"не е доставен|не беше доставен|nu a (?:putut|fost) (?:fi )?livrat|nelivrat|"
    r"kunne ikke (?:afleveres|sendes)|ei õnnestunud|nepristatyt|nepavyko pristatyti|nav piegādāt|"
    r"neizdevās piegādāt|no s['’]ha pogut (?:lliurar|entregar)|δεν παραδόθηκε|"
    r"לא נמסר|تعذر (?:تسليم|إرسال)|لم يتم تسليم|"
    r"không (?:thể )?gửi (?:được|thư)|thư không gửi|tidak terkirim|gagal (?:ter)?kirim|"
    r"ไม่สามารถส่ง|ส่งไม่สำเร็จ"
)

DELAY_SUBJECTS = (
    r"delayed|\bdelay\b|warning: (?:message|could not send|mail)|delivery (?:is )?(?:incomplete|"
    r"delayed|temporarily)|still being retried|not yet (?:been )?delivered|temporar(?:y|ily) (?:fail|"
    r"undeliver)|deferred|retard[ée]|différée|verzögert|verzögerung|retraso|retrasad|ritard|vertraagd|"
    r"vertraging|задерж|відкладен|försen|forsinke|opóźni|atras|gecik|遅延|延迟|延遲|지연"
)

FAILURE_SENTENCES = (
    r"(?:could|can)(?:not| not|n['’]t) (?:be )?(?:deliver|sen[dt]|forward|relay|process)|"
    r"(?:was|were|is|has|have)(?:n['’]t| not)(?: been)? (?:able to )?(?:be )?(?:deliver|sent|received)|"
    r"delivery (?:of|to|for)?[^\n.]{0,80}(?:failed|has failed|has been (?:suspended|abandoned))|"
    r"fail(?:ed|ure)? (?:to )?deliver|unable to deliver|undeliverable|undelivered|"
    r"did not reach the following|permanent (?:fatal )?(?:error|fail)|fatal errors|"
    r"following (?:address(?:es)?|recipients?)[^\n]{0,80}(?:fail|error|permanent|could not|not|"
    r"undeliv|reject)|"
    r"returned to (?:the )?sender|return(?:ed|ing) (?:your )?(?:message|mail|e-?mail)|not deliverable|"
    r"giving up|no valid recipients|failed addresses|unknown (?:host|recipient|address)|"
    r"user unknown|unknown user|no such user|does not exist|mailbox (?:is )?full|over quota|"
    r"was (?:rejected|refused|bounced|blocked|not accepted)|has been (?:rejected|refused|"
    r"bounced|blocked)|"
    r"reason for the (?:problem|failure|delivery)|message (?:bounced|undeliver)|delivery error|"
    r"account[^\n.]{0,40}(?:disabled|doesn['’]?t exist)|no mailbox|not (?:a )?(?:valid|"
    r"known) (?:user|recipient)|"
    r"(?:konnte|kann|wurde)[^\n.]{0,80}nicht (?:zugestellt|ausgeliefert|übermittelt)|unzustellbar|"
    r"nicht zustellbar|zustellung[^\n.]{0,60}(?:fehlgeschlagen|nicht möglich)|"
    r"n['’]a pas (?:pu|été)|impossible de (?:remettre|délivrer|distribuer)|n['’]a pu être|non distribu|"
    r"échec de (?:la )?(?:remise|livraison)|"
    r"no (?:se )?(?:pudo|puede|ha podido|ha sido|fue)[^\n.]{0,40}entrega|no se entreg|"
    r"non (?:è stato possibile|può essere|è stato)[^\n.]{0,40}(?:consegn|recapit)|"
    r"impossibile (?:consegn|recapit)|"
    r"não (?:pôde|pode|foi)[^\n.]{0,40}(?:ser )?entreg|não foi possível|"
    r"kon niet worden|kan niet worden|niet (?:worden )?(?:bezorgd|afgeleverd)|"
    r"kunde inte levereras|gick inte att leverera|kunne ikke leveres|ikke leveres|ei voitu toimittaa|"
    r"nie (?:mogła|może|można|została)[^\n.]{0,30}dostarcz|nebylo možné|nelze doručit|"
    r"nem (?:lehetett|sikerült)"
    r"[^\n.]{0,30}kézbesít|не удалось доставить|не может быть доставлен|не было доставлен|не доставлен|"
    r"невозможно доставить|не был[ао]? доставлен|не вдалося доставити|teslim edilemedi|iletilemedi|"
    r"δεν (?:ήταν δυνατή|μπόρεσε)|配信できません|配信されません|送信できません|届けることができ|届きません|"
    r"无法(?:送达|投递|发送)|未能送达|被退回|投递失败|無法(?:傳遞|傳送|送達)|"
    r"배달(?:되지|할 수)|전송하지 못|nepodaril[oa] sa doručiť|nebol[ao]? (?:možné )?doruč|"
    r"nepodařilo (?:se )?doručit|nebyl[ao]? doruč|nije (?:isporučen|dostavljen|mogla biti)|"
    r"није (?:испоручен|достављен)|ni bilo mogoče dostav|"
    r"не (?:беше|е|може да бъде) доставен|nu a (?:putut|fost) (?:fi )?livrat|"
    r"kunne ikke (?:afleveres|sendes)|ei õnnestunud|nepavyko pristatyti|neizdevās piegādāt|"
    r"no s['’]ha pogut (?:lliurar|entregar)|δεν παραδόθηκε|לא ניתן (?:היה )?למסור|لم يتم تسليم|"
    r"تعذر (?:تسليم|إرسال)|không thể gửi|tidak (?:dapat )?(?:di|ter)kirim|ไม่สามารถส่ง"
)

#: What a server answered: a failure in any language, where a mail system tells of it.
SERVER_ANSWERS = (
    r"(?<![\d.])5\d\d[- ]#?5\.\d{1,3}\.\d{1,3}(?![\d.])|"
    r"\bsaid:\s{1,4}5\d\d[- ]|\(#5\.\d{1,3}\.\d{1,3}\)"
)

DELAY_SENTENCES = (
    r"this is a warning message only|(?:do not|don['’]t) need to (?:resend|do anything)|"
    r"will (?:be retried|continue (?:to (?:try|be|retry|attempt)|trying|for)|keep trying|retry|"
    r"try again|"
    r"be (?:attempted|tried) again)|(?:is|are) still (?:being )?(?:retr|queue|trying|attempt)|"
    r"has not yet been delivered|not yet been delivered|still (?:being retried|undelivered|"
    r"trying)|"
    r"delivery attempts will continue|no action is required on your part|gmail will retry|"
    r"delivery[^\n.]{0,60}(?:has been |is |was )?(?:delayed|deferred)|message (?:has been |is |"
    r"was )?(?:delayed|deferred)|"
    r"delay(?:ed)? in (?:the )?delivery|could not be delivered for more than \d+ (?:hour|minute)|"
    r"temporar(?:y|ily) (?:non-?delivery|undeliver)|will be attempted|"
    r"attempts? to deliver[^\n.]{0,40}continue|"
    r"wird weiterhin versucht|zustellversuche werden|verzögert|weitere zustellversuche|"
    r"sera (?:re-?tent|réessay)|nouvelles tentatives|a été (?:retard|différ)|"
    r"se (?:seguirá|volverá a) intent|se ha retrasado|verrà ritentat|ulteriori tentativi|"
    r"è stat[ao] ritardat|"
    r"continuará tentando|está atrasad|nog niet (?:bezorgd|afgeleverd)|zal (?:blijven )?probe|"
    r"fortsätter försöka|har försenats|будут продолж|попытки доставки|задерж|再送(?!信してくだ)|遅れて|"
    r"再试|稍后重试|延迟"
)

#: After these words there is no further attempt, whatever else the notice says.
FINAL_SENTENCES = (
    r"will be (?:deleted|removed)|giving up|given up|not (?:be )?(?:going to )?(?:try|retr)(?:y|"
    r"ied)? (?:again|any)|"
    r"no (?:further|more) (?:attempts|deliver)|permanent (?:error|fail)|(?:has|been) returned"
)

SUCCESS_SENTENCES = (
    r"(?:was|has been|were|have been) (?:successfully )?(?:delivered|relayed|"
    r"expanded)(?! (?:yet|to the following"
    r" recipients? failed))|successful(?:ly)? (?:delivered|relayed|mail delivery|delivery)|"
    r"delivery (?:was )?"
    r"successful|successful mail delivery report"
)

#: Where a notice begins to quote the mail that it is about: the beginnings of such a line.
RETURNED_COPY = (
    r"-{2,}\s*(?:this is a copy of|below this line is a copy|original message|"
    r"included is a copy|the original message|transcript of (?:the )?(?:message|mail)|returned message|"
    r"copy of (?:your|the)|unsent message|message (?:header|text|contents?) follow|"
    r"the (?:header|body) of the original|received message|undelivered message|"
    r"headers? of (?:the )?original|start of (?:the )?(?:original|returned)|message header)"
    r"|-{3,} ?forwarded message|received: (?:from|by) |return-path: |-{5,}\s*$"
    r"|(?:your )?original message (?:follows|headers?|text)?:?\s*$|original (?:mail|e-?mail) ?:"
    r"|(?:the )?(?:message )?headers? (?:of the (?:original )?message )?(?:follow|are|is)\b"
    r"|(?:kopie|copie|copia)\b[^\n]{0,60}:\s*$|ursprüngliche (?:nachricht|kopfzeilen)|"
    r"en-têtes (?:de message )?d['’]origine"
    r"|original message headers:|diagnostic information for administrators:.{0,4000}^original "
    r"message headers:"
)

#: Words before the address that failed; what follows them on the line or the next is a recipient.
RECIPIENT_MARKS = (
    r"(?:failed|undeliverable|bad|invalid|unknown) (?:recipients?|address(?:es)?|users?)"
    r"|recipients?|(?:e-?mail )?address(?:es)?|addressed to|intended recipient|was (?:sent|"
    r"addressed) to|"
    r"delivery to|deliver (?:your )?(?:message|mail|e-?mail)? ?to|forward to|rcpt to|user|an|à|"
    r"para|naar|till|to|"
    r"empfänger|destinataires?|destinatari[oa]?s?|destinatário|ontvangers?|mottagare|"
    r"получател\w+|收件人|宛先"
)

#: Addresses that a notice names, and that are nobody's whom we mailed.
NOT_A_RECIPIENT = (
    "postmaster@",
    "mailer-daemon@",
    "abuse@",
    "support@",
    "helpdesk@",
    "hostmaster@",
    "noreply@",
    "no-reply@",
    "mailerdaemon@",
    "tosa@",
)

#: A mail that asks for a proof of humanity before it is delivered.
CHALLENGES = (
    r"boxtrapper|spam ?arrest|your (?:e-?mail|message) requires (?:verification|confirmation)|"
    r"please (?:verify|confirm) your"
    r" (?:e-?mail|message|identity) (?:by|to)|challenge[- ]response|"
    r"sender verification (?:required|request)"
    r"|verify#[0-9a-z]{8,}|to (?:release|deliver) your (?:message|e-?mail).{0,60}(?:click|"
    r"reply)|tmda|(?:add(?:ed)? you|be added) to my (?:allow|approved|white) ?list|mailblocks|"
    r"(?:this is an )?automated (?:challenge|verification) (?:message|request)|"
    r"antispameurope challenge|antispam uol|choicemail|"
    r"confirm (?:that )?you(?: are|['’]re) (?:a )?(?:human|not (?:a )?(?:spammer|robot))|"
    r"prove (?:that )?you(?: are|['’]re) (?:a )?(?:human|(?:real )?person|not (?:a )?robot)|"
    r"dass sie (?:ein mensch|kein (?:roboter|spammer|computer)) sind|"
    r"que vous (?:n['’]êtes pas un robot|êtes (?:bien )?(?:humain|une personne))|"
    r"que (?:usted )?(?:no es un robot|es (?:usted )?una persona|es humano)|"
    r"di non essere un robot|di essere una persona|que (?:você )?(?:não é um robô|é uma pessoa|é humano)|"
    r"dat u (?:geen robot|een (?:mens|persoon)) bent|że nie jesteś (?:robotem|automatem)|"
    r"что (?:вы|ты) не робот|что вы (?:человек|живой)|あなたがロボットでは|您不是机器人|"
    r"damit sie zugestellt wird,? (?:antworten|klicken|bestätigen) sie"
)
