"""How clients introduce quoted history and signatures, in the languages of their users.

Sources: the reply templates of Gmail, Apple Mail, Outlook, Thunderbird, Yahoo, Mail.ru and the
localisations shipped with them.
"""

# ruff: noqa: RUF001 (letters of other scripts are meant)

#: The verb of a line that introduces quoted text ("On …, X wrote:", "Am … schrieb X:").
ATTRIBUTION_VERBS = (
    r"wrote|writes|schrieb|schreef|a écrit|écrit|"
    r"escribió|escribio|ha scritto|scrisse"
    r"|escreveu|skrev|kirjoitti|napisał(?:\(a\))?|napisala?|napsala?|napísala?|írta|a scris|"
    r"написала?|pisze|пишет|пише|написав"
    r"|написа|napisao|napisala|napisal|va escriure|menulis|เขียนว่า|parašė|rakstīja|kirjutas|а написав"
    r"|је написао|tarihinde şunu yazdı|schrieb am|geschrieben"
    r"|yazdı|έγραψε|写道|写到|寫道|作成|のメール|님이 작성|כתב(?:/ה)?|كتب|نوشت|đã viết|menulis"
)

#: The beginning of such a line, for the languages that put a preposition there.
ATTRIBUTION_STARTS = (
    r"on|am|op|le|el|il|em|den|dnia|w dniu|dne|dňa|pe|în|tarihinde|στις|в|на|at|il giorno|på|"
    r"vào|pada|a las|às|no dia"
)

#: A line that separates the new text from a forwarded or original message.
SEPARATORS = (
    r"[-‐–—_*]{2,}\s*(?:original(?: (?:e-?mail|appointment))?|message d’origine|"
    r"original message|reply (?:message|to)|"
    r"ursprüngliche nachricht|originalnachricht|message d'origine|"
    r"message original|mensaje original"
    r"|messaggio originale|mensagem original|oorspronkelijk bericht|originalmeddelande|"
    r"ursprungligt meddelande|opprinnelig melding"
    r"|oprindelig meddelelse|alkuperäinen viesti|wiadomość oryginalna|původní (?:zpráva|"
    r"e-mail)|eredeti üzenet|исходное сообщение"
    r"|orijinal (?:mesaj|ileti)|原始邮件|邮件原件|元のメッセージ|원본 메시지|forwarded message|"
    r"weitergeleitete nachricht"
    r"|message transféré|mensaje reenviado|doorgestuurd bericht|原始邮件|回复的原邮件|"
    r"vidarebefordrat meddelande|videresendt (?:melding|meddelelse)"
    r"|messaggio inoltrato|mensagem encaminhada|przekazana wiadomość|пересылаемое сообщение|"
    r"перенаправленное сообщение"
    r"|přeposlaná zpráva|továbbított üzenet|iletilen mesaj|転送メッセージ)\s*:?\s*[-‐–—_*]{2,}",
    r"-{2,6}\s*.{2,200}\b(?:wrote|schrieb|a écrit|escribió|ha scritto|escreveu|schreef)\s*:?\s*-{2,6}",
    r"\W{0,10}(?:please )?(?:type|write|enter)?(?: your)? ?reply above this line\W{0,10}",
    r"\W{0,10}(?:bitte )?antworten sie (?:oberhalb|über) dieser linie\W{0,10}",
    r"_{20,}",
    r"begin forwarded message:|anfang der weitergeleiteten (?:nachricht|e-?mail):|"
    r"début du message (?:réexpédié|transféré) ?:|inicio del mensaje reenviado:|"
    r"inizio messaggio inoltrato:|begin doorgestuurd bericht:|início da mensagem (?:re)?encaminhada:|"
    r"vidarebefordrat brev:|start på videresendt (?:besked|melding):|välitetty viesti alkaa:|"
    r"начало переадресованного сообщения:|początek przekazywanej wiadomości:|"
    r"začátek přeposlané zprávy:|下面是被转发的邮件：|開始轉寄郵件：|転送されたメッセージ：",
)

#: "Quoting …:" in front of quoted lines (Horde and others).
QUOTING = (
    r"(?:quoting|zitat von|citando(?: a)?|citation de|en réponse à|citát|cytowanie|in reply to)\b"
)

#: The first field of a header block that Outlook puts above the history, a comma between the languages …
HEADER_FIRST = (
    "from,von,de,da,van,från,fra,lähettäjä,od,feladó,от,от кого,від,de la,gönderen,από,"
    "nuo,no,saatja,מאת,من,từ,จาก,dari,kimden,发件人,寄件者,差出人,보낸 사람,보낸사람"
)
#: … and a second one within it.
HEADER_NEXT = (
    "sent,date,to,subject,gesendet,datum,an,betreff,envoyé,à,objet,enviado,fecha,para,"
    "asunto,inviato,data,a,oggetto,assunto,verzonden,aan,onderwerp,skickat,till,ämne,"
    "sendt,til,emne,lähetetty,päiväys,aihe,wysłano,do,temat,odesláno,komu,předmět,дата,"
    "отправлено,кому,тема,gönderilme,tarih,kime,konu,发送时间,收件人,主题,日期,寄件日期,收件者,主旨,odoslané,"
    "predmet,elküldve,küldve,dátum,címzett,tárgy,trimis,către,subiect,gönderme tarihi,"
    "gönderildi,alıcı,στάλθηκε,ημερομηνία,προς,θέμα,надіслано,изпратено,до,относно,"
    "poslano,prima,za,zadeva,išsiųsta,kam,tema,nosūtīts,tēma,saadetud,adressaat,teema,"
    "enviat,per a,נשלח,אל,נושא,تاريخ الإرسال,التاريخ,إلى,الموضوع,đã gửi,ngày,tới,đến,"
    "chủ đề,ส่ง,วันที่,ถึง,เรื่อง,dikirim,tanggal,kepada,subjek,cc,kopie,kopia,copie,"
    "copia,копия,копія,抄送,副本,送信日時,宛先,件名,보낸 날짜,보낸날짜,받는 사람,받는사람,제목"
)

#: A line that a phone or an app adds below what was written.
DEVICE_SIGNATURES = (
    r"(?:sent|get|envoyé|enviado|gesendet|von meinem|inviato|verzonden|verstuurd|skickat|sendt|"
    r"wysłan[eo]|отправлено|gönderildi)"
    r"\s.{0,60}(?:iphone|ipad|android|outlook|samsung|galaxy|blackberry|yahoo|gmail|mobile|"
    r"mobil|handy|móvil|phone|smartphone|mail for"
    r"|proton ?mail|mail\.ru)\b.{0,40}",
    r"von meinem .{0,40} gesendet\.?",
    r"diese nachricht wurde von (?:meine[mr]|unterwegs).{0,80} (?:gesendet|verschickt)\.?",
    r"(?:get|holen sie sich|hol dir|obtenir|télécharger|obtener|obtén|descargar|scarica|ottieni|obter o|"
    r"obtenha o|baixe o|download|pobierz|hämta|hent|skaffa|få|stáhnout|získat|скачать|загрузить)?"
    r" ?(?:outlook|bluemail|aqua ?mail|spark) (?:for|für|pour|para|per|voor|dla|för|til|pro|для) "
    r".{0,70}",
    r"(?:gesendet (?:von|mit) (?:mail|der|meine[mr])|provenance ?: courrier|enviado (?:desde|"
    r"do) (?:correo|"
    r"email|e-mail)|inviato da posta|verzonden vanuit mail|skickat från e-post|wysłane z poczta|"
    r"отправлено из (?:мобильн|почты)|envoyé (?:depuis|à partir de|avec) l['’]application).{0,60}",
    r"從我的.{0,20}傳送|στάλθηκε από.{0,40}",
    r"(?:lähetetty|odesláno|odoslané|elküldve|trimis|изпратено|надіслано|wysłano|dikirim|"
    r"enviat)\s.{0,60}",
    r"(?:iphone|ipad|android|スマートフォン).{0,10}から送信|从我的.{0,20}发送|发自我的.{0,30}",
    r"나의.{0,20}에서 보냄",
    r"נשלח מה.{0,30}|أُرسلت من.{0,30}",
    r"(?:sent|gesendet|envoyé|enviado) (?:with|from|via|using|mit|avec|con) (?:the )?"
    r"(?:proton ?mail|spark|superhuman|front|missive|mailspring|edison|airmail|newton|hey|"
    r"shortwave|zoho|canary|bluemail|nine|fairemail|k-9|tuta|mailbird|postbox|polymail|mail for|"
    r"windows|aqua mail|mymail|fastmail|alto|boxer|mutt|thunderbird|typeapp|gmx)\b.{0,60}",
)

#: … and how such a line ends where the device's name comes first.
DEVICE_SIGNATURES_LAST = (
    r"(?:készülékemről|iphone-omról) küldve",
    r"(?:iphone|ipad|telefon).{0,15}gönderildi",
)
