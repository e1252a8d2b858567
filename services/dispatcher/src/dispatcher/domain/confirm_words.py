"""The page of a double opt-in in ten languages."""

from dataclasses import dataclass

from postfleet.languages import best_liked


@dataclass(frozen=True, slots=True)
class Words:
    """What the page says; `code` is the language (RFC 5646)."""

    code: str
    ask: str
    explain: str
    button: str
    accident: str
    done: str
    done_explain: str
    expired: str
    expired_explain: str
    unknown: str
    unknown_explain: str


_ALL = (
    Words(
        "en",
        "Confirm your subscription?",
        "Somebody asked that you get our mails. Nothing has changed yet: please confirm.",
        "Yes, send me these mails",
        "If this was not you, just close this page: you will get no such mail.",
        "Thank you",
        "Your subscription is confirmed. You can close this page.",
        "This link has expired",
        "If you confirmed before, there is nothing left to do. "
        "Otherwise ask whoever wrote to you for a new link.",
        "This link is not valid",
        "Maybe it was cut off on its way: please copy all of it from the mail.",
    ),
    Words(
        "de",
        "Anmeldung bestätigen?",
        "Jemand hat darum gebeten, dass Sie unsere Mails erhalten. Noch ist nichts geschehen: "
        "Bitte bestätigen Sie.",
        "Ja, ich möchte diese Mails erhalten",
        "Falls Sie das nicht waren, schließen Sie diese Seite einfach: "
        "Sie erhalten dann keine solche Mail.",
        "Vielen Dank",
        "Ihre Anmeldung ist bestätigt. Sie können diese Seite schließen.",
        "Dieser Link ist abgelaufen",
        "Falls Sie schon bestätigt haben, ist nichts mehr zu tun. "
        "Sonst bitten Sie den Absender um einen neuen Link.",
        "Dieser Link ist ungültig",
        "Vielleicht wurde er unterwegs abgeschnitten: Bitte kopieren Sie ihn ganz aus der Mail.",
    ),
    Words(
        "fr",
        "Confirmer votre inscription\u00a0?",
        "Quelqu'un a demandé que vous receviez nos messages. Rien n'a encore changé\u00a0: "
        "merci de confirmer.",
        "Oui, envoyez-moi ces messages",
        "Si ce n'était pas vous, fermez simplement cette page\u00a0: "
        "vous ne recevrez aucun message de ce genre.",
        "Merci",
        "Votre inscription est confirmée. Vous pouvez fermer cette page.",
        "Ce lien a expiré",
        "Si vous avez déjà confirmé, il n'y a plus rien à faire. "
        "Sinon, demandez un nouveau lien à l'expéditeur.",
        "Ce lien n'est pas valide",
        "Il a peut-être été coupé en chemin\u00a0: copiez-le en entier depuis le message.",
    ),
    Words(
        "es",
        "¿Confirmar su suscripción?",
        "Alguien pidió que usted reciba nuestros correos. Aún no ha cambiado nada: "
        "por favor, confirme.",
        "Sí, envíenme estos correos",
        "Si no fue usted, simplemente cierre esta página: no recibirá ningún correo de este tipo.",
        "Gracias",
        "Su suscripción está confirmada. Puede cerrar esta página.",
        "Este enlace ha caducado",
        "Si ya confirmó, no queda nada por hacer. Si no, pida un enlace nuevo a quien le escribió.",
        "Este enlace no es válido",
        "Quizá se cortó por el camino: cópielo entero desde el correo.",
    ),
    Words(
        "it",
        "Confermare l'iscrizione?",
        "Qualcuno ha chiesto che lei riceva i nostri messaggi. Non è ancora cambiato nulla: "
        "confermi, per favore.",
        "Sì, inviatemi questi messaggi",
        "Se non è stato lei, chiuda semplicemente questa pagina: non riceverà messaggi di questo tipo.",
        "Grazie",
        "La sua iscrizione è confermata. Può chiudere questa pagina.",
        "Questo link è scaduto",
        "Se ha già confermato, non resta nulla da fare. "
        "Altrimenti chieda un nuovo link a chi le ha scritto.",
        "Questo link non è valido",
        "Forse è stato troncato durante il percorso: lo copi per intero dal messaggio.",
    ),
    Words(
        "pt",
        "Confirmar a sua subscrição?",
        "Alguém pediu que receba os nossos e-mails. Nada mudou ainda: por favor, confirme.",
        "Sim, enviem-me estes e-mails",
        "Se não foi você, basta fechar esta página: não receberá nenhum e-mail deste tipo.",
        "Obrigado",
        "A sua subscrição está confirmada. Pode fechar esta página.",
        "Este link expirou",
        "Se já confirmou, não há mais nada a fazer. "
        "Caso contrário, peça um novo link a quem lhe escreveu.",
        "Este link não é válido",
        "Talvez tenha sido cortado pelo caminho: copie-o por inteiro do e-mail.",
    ),
    Words(
        "nl",
        "Aanmelding bevestigen?",
        "Iemand heeft gevraagd u onze mails te sturen. Er is nog niets veranderd: "
        "bevestig het alstublieft.",
        "Ja, stuur mij deze mails",
        "Was u dit niet, sluit deze pagina dan gewoon: u ontvangt geen mail van dit soort.",
        "Dank u wel",
        "Uw aanmelding is bevestigd. U kunt deze pagina sluiten.",
        "Deze link is verlopen",
        "Hebt u al bevestigd, dan hoeft u niets meer te doen. "
        "Vraag anders de afzender om een nieuwe link.",
        "Deze link is ongeldig",
        "Misschien is hij onderweg afgebroken: kopieer hem helemaal uit de mail.",
    ),
    Words(
        "pl",
        "Potwierdzić zapis?",
        "Ktoś poprosił o wysyłanie Państwu naszych wiadomości. Nic się jeszcze nie zmieniło: "
        "prosimy potwierdzić.",
        "Tak, proszę o te wiadomości",
        "Jeśli to nie Państwo, wystarczy zamknąć tę stronę: takie wiadomości nie przyjdą.",
        "Dziękujemy",
        "Zapis został potwierdzony. Tę stronę można zamknąć.",
        "Ten link wygasł",
        "Jeśli zapis był już potwierdzony, nic więcej nie trzeba robić. "
        "W innym razie prosimy poprosić nadawcę o nowy link.",
        "Ten link jest nieprawidłowy",
        "Może został po drodze ucięty: prosimy skopiować go w całości z wiadomości.",
    ),
    Words(
        "ru",
        "Подтвердить подписку?",
        "Кто-то попросил отправлять вам наши письма. Пока ничего не изменилось: "
        "пожалуйста, подтвердите.",
        "Да, присылайте мне эти письма",
        "Если это были не вы, просто закройте страницу: таких писем не будет.",
        "Спасибо",
        "Ваша подписка подтверждена. Эту страницу можно закрыть.",
        "Срок действия ссылки истёк",
        "Если вы уже подтвердили подписку, больше ничего делать не нужно. "
        "Иначе напишите отправителю и попросите новую ссылку.",
        "Эта ссылка недействительна",
        "Возможно, она обрезалась по пути: скопируйте её из письма целиком.",
    ),
    Words(
        "ja",
        "購読を確認しますか?",
        "このアドレスへの配信の申し込みがありました。まだ手続きは完了していません。確認してください。",
        "はい、配信を希望します",
        "心当たりがない場合は、このページを閉じてください。配信は始まりません。",
        "ありがとうございます",
        "購読が確認されました。このページは閉じて構いません。",
        "このリンクは期限切れです",
        "すでに確認済みの場合、手続きは不要です。そうでない場合は、送信者に新しいリンクを依頼してください。",
        "このリンクは無効です",
        "途中で切れている可能性があります。メールからリンク全体をコピーしてください。",
    ),
)
LANGUAGES = {words.code: words for words in _ALL}


def words_for(accept_language: str) -> Words:
    """The words in the language the reader likes best of those there are; else English."""
    return LANGUAGES[best_liked(accept_language, LANGUAGES)]
