"""The unsubscribe page in ten languages, chosen by the reader's browser (RFC 9110 §12.5.4)."""

from dataclasses import dataclass


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


_ALL = (
    Words(
        "en",
        "Unsubscribe?",
        "You will get no more campaign mail from us. Nothing has changed yet: please confirm.",
        "Unsubscribe me",
        "If you opened this page by accident, just close it.",
        "You are unsubscribed",
        "You will get no more campaign mail from us. You can close this page.",
    ),
    Words(
        "de",
        "Abmelden?",
        "Sie erhalten dann keine Werbemails mehr von uns. Noch ist nichts geschehen: Bitte bestätigen Sie.",
        "Abmelden",
        "Falls Sie diese Seite versehentlich geöffnet haben, schließen Sie sie einfach.",
        "Sie sind abgemeldet",
        "Sie erhalten keine Werbemails mehr von uns. Sie können diese Seite schließen.",
    ),
    Words(
        "fr",
        "Se désabonner ?",
        "Vous ne recevrez plus nos campagnes. Rien n'a encore changé : merci de confirmer.",
        "Me désabonner",
        "Si vous avez ouvert cette page par erreur, fermez-la simplement.",
        "Vous êtes désabonné",
        "Vous ne recevrez plus nos campagnes. Vous pouvez fermer cette page.",
    ),
    Words(
        "es",
        "¿Darse de baja?",
        "No recibirá más correos de campañas nuestras. Aún no ha cambiado nada: por favor, confirme.",
        "Darme de baja",
        "Si abrió esta página por error, simplemente ciérrela.",
        "Se ha dado de baja",
        "No recibirá más correos de campañas nuestras. Puede cerrar esta página.",
    ),
    Words(
        "it",
        "Annullare l'iscrizione?",
        "Non riceverà più le nostre campagne. Non è ancora cambiato nulla: confermi, per favore.",
        "Annulla la mia iscrizione",
        "Se ha aperto questa pagina per errore, la chiuda semplicemente.",
        "La sua iscrizione è annullata",
        "Non riceverà più le nostre campagne. Può chiudere questa pagina.",
    ),
    Words(
        "pt",
        "Cancelar a subscrição?",
        "Não receberá mais e-mails das nossas campanhas. Nada mudou ainda: por favor, confirme.",
        "Cancelar a minha subscrição",
        "Se abriu esta página por engano, basta fechá-la.",
        "A sua subscrição foi cancelada",
        "Não receberá mais e-mails das nossas campanhas. Pode fechar esta página.",
    ),
    Words(
        "nl",
        "Uitschrijven?",
        "U ontvangt dan geen campagnemails meer. Er is nog niets veranderd: bevestig het alstublieft.",
        "Schrijf mij uit",
        "Hebt u deze pagina per ongeluk geopend, sluit haar dan gewoon.",
        "U bent uitgeschreven",
        "U ontvangt geen campagnemails meer van ons. U kunt deze pagina sluiten.",
    ),
    Words(
        "pl",
        "Wypisać się?",
        "Nie wyślemy już wiadomości z kampanii. Nic się jeszcze nie zmieniło: prosimy potwierdzić.",
        "Wypisz mnie",
        "Jeśli ta strona została otwarta przypadkiem, wystarczy ją zamknąć.",
        "Wypisano z listy",
        "Nie będziemy już wysyłać wiadomości z kampanii. Tę stronę można zamknąć.",
    ),
    Words(
        "ru",
        "Отписаться?",
        "Вы больше не будете получать наши рассылки. Пока ничего не изменилось: пожалуйста, подтвердите.",
        "Отписаться",
        "Если вы открыли эту страницу случайно, просто закройте её.",
        "Вы отписаны",
        "Вы больше не будете получать наши рассылки. Эту страницу можно закрыть.",
    ),
    Words(
        "ja",
        "配信を停止しますか?",
        "今後、キャンペーンメールは届かなくなります。まだ手続きは完了していません。確認してください。",
        "配信を停止する",
        "誤ってこのページを開いた場合は、そのまま閉じてください。",
        "配信を停止しました",
        "今後、キャンペーンメールは届きません。このページは閉じて構いません。",
    ),
)
LANGUAGES = {words.code: words for words in _ALL}


def words_for(accept_language: str) -> Words:
    """The words in the language the reader likes best of those there are; else English."""
    wanted: list[tuple[float, str]] = []
    for entry in accept_language.split(",")[:20]:
        name, _, parameter = entry.partition(";")
        wanted.append((-_quality(parameter), name.strip().lower().partition("-")[0]))
    for quality, name in sorted(wanted, key=lambda item: item[0]):
        if name in LANGUAGES and quality < 0:
            return LANGUAGES[name]
    return LANGUAGES["en"]


def _quality(parameter: str) -> float:
    name, _, value = parameter.strip().partition("=")
    if name.strip() != "q":
        return 1.0
    try:
        return min(1.0, max(0.0, float(value)))
    except ValueError:
        return 0.0
