"""The unsubscribe page in ten languages, chosen by the reader's browser (RFC 9110 §12.5.4)."""

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
    only_button: str
    only_explain: str
    only_done: str
    only_done_explain: str
    again_button: str
    again_explain: str
    again_done: str
    again_done_explain: str


_ALL = (
    Words(
        "en",
        "Unsubscribe?",
        "You will get no more campaign mail from us. Nothing has changed yet: please confirm.",
        "Unsubscribe me",
        "If you opened this page by accident, just close it.",
        "You are unsubscribed",
        "You will get no more campaign mail from us. You can close this page.",
        "Only stop this series",
        "You will get no more mails of this series; others may still reach you.",
        "This series has ended for you",
        "You will get no more mails of this series. You can close this page.",
        "Subscribe again",
        "You unsubscribed before and have changed your mind?",
        "You are subscribed again",
        "You may get mail from us again. You can unsubscribe at any time.",
    ),
    Words(
        "de",
        "Abmelden?",
        "Sie erhalten dann keine Werbemails mehr von uns. Noch ist nichts geschehen: Bitte bestätigen Sie.",
        "Abmelden",
        "Falls Sie diese Seite versehentlich geöffnet haben, schließen Sie sie einfach.",
        "Sie sind abgemeldet",
        "Sie erhalten keine Werbemails mehr von uns. Sie können diese Seite schließen.",
        "Nur diese Serie beenden",
        "Sie erhalten keine weiteren Mails dieser Serie; andere können Sie weiterhin erreichen.",
        "Diese Serie ist für Sie beendet",
        "Sie erhalten keine weiteren Mails dieser Serie. Sie können diese Seite schließen.",
        "Wieder anmelden",
        "Sie hatten sich abgemeldet und haben es sich anders überlegt?",
        "Sie sind wieder angemeldet",
        "Sie können wieder Mails von uns erhalten. Abmelden können Sie sich jederzeit.",
    ),
    Words(
        "fr",
        "Se désabonner\u00a0?",
        "Vous ne recevrez plus nos campagnes. Rien n'a encore changé\u00a0: merci de confirmer.",
        "Me désabonner",
        "Si vous avez ouvert cette page par erreur, fermez-la simplement.",
        "Vous êtes désabonné",
        "Vous ne recevrez plus nos campagnes. Vous pouvez fermer cette page.",
        "Arrêter seulement cette série",
        "Vous ne recevrez plus les messages de cette série\u00a0; d'autres peuvent encore vous parvenir.",
        "Cette série est terminée pour vous",
        "Vous ne recevrez plus les messages de cette série. Vous pouvez fermer cette page.",
        "Me réabonner",
        "Vous vous étiez désabonné et avez changé d'avis\u00a0?",
        "Vous êtes de nouveau abonné",
        "Vous pouvez de nouveau recevoir nos messages. Vous pouvez vous désabonner à tout moment.",
    ),
    Words(
        "es",
        "¿Darse de baja?",
        "No recibirá más correos de campañas nuestras. Aún no ha cambiado nada: por favor, confirme.",
        "Darme de baja",
        "Si abrió esta página por error, simplemente ciérrela.",
        "Se ha dado de baja",
        "No recibirá más correos de campañas nuestras. Puede cerrar esta página.",
        "Detener solo esta serie",
        "No recibirá más correos de esta serie; otros aún pueden llegarle.",
        "Esta serie ha terminado para usted",
        "No recibirá más correos de esta serie. Puede cerrar esta página.",
        "Suscribirme de nuevo",
        "¿Se dio de baja y ha cambiado de opinión?",
        "Está suscrito de nuevo",
        "Puede volver a recibir correos nuestros. Puede darse de baja en cualquier momento.",
    ),
    Words(
        "it",
        "Annullare l'iscrizione?",
        "Non riceverà più le nostre campagne. Non è ancora cambiato nulla: confermi, per favore.",
        "Annulla la mia iscrizione",
        "Se ha aperto questa pagina per errore, la chiuda semplicemente.",
        "La sua iscrizione è annullata",
        "Non riceverà più le nostre campagne. Può chiudere questa pagina.",
        "Interrompi solo questa serie",
        "Non riceverà più messaggi di questa serie; altri potranno ancora raggiungerla.",
        "Questa serie per lei è terminata",
        "Non riceverà più messaggi di questa serie. Può chiudere questa pagina.",
        "Iscrivimi di nuovo",
        "Aveva annullato l'iscrizione e ha cambiato idea?",
        "È di nuovo iscritto",
        "Potrà ricevere di nuovo i nostri messaggi. Può annullare l'iscrizione in ogni momento.",
    ),
    Words(
        "pt",
        "Cancelar a subscrição?",
        "Não receberá mais e-mails das nossas campanhas. Nada mudou ainda: por favor, confirme.",
        "Cancelar a minha subscrição",
        "Se abriu esta página por engano, basta fechá-la.",
        "A sua subscrição foi cancelada",
        "Não receberá mais e-mails das nossas campanhas. Pode fechar esta página.",
        "Parar apenas esta série",
        "Não receberá mais e-mails desta série; outros ainda podem chegar.",
        "Esta série terminou para si",
        "Não receberá mais e-mails desta série. Pode fechar esta página.",
        "Subscrever novamente",
        "Tinha cancelado a subscrição e mudou de ideias?",
        "Está novamente subscrito",
        "Pode voltar a receber os nossos e-mails. Pode cancelar a qualquer momento.",
    ),
    Words(
        "nl",
        "Uitschrijven?",
        "U ontvangt dan geen campagnemails meer. Er is nog niets veranderd: bevestig het alstublieft.",
        "Schrijf mij uit",
        "Hebt u deze pagina per ongeluk geopend, sluit haar dan gewoon.",
        "U bent uitgeschreven",
        "U ontvangt geen campagnemails meer van ons. U kunt deze pagina sluiten.",
        "Alleen deze reeks stoppen",
        "U ontvangt geen mails van deze reeks meer; andere kunnen u nog bereiken.",
        "Deze reeks is voor u beëindigd",
        "U ontvangt geen mails van deze reeks meer. U kunt deze pagina sluiten.",
        "Opnieuw aanmelden",
        "Had u zich uitgeschreven en bent u van gedachten veranderd?",
        "U bent weer aangemeld",
        "U kunt weer mail van ons ontvangen. U kunt zich altijd uitschrijven.",
    ),
    Words(
        "pl",
        "Wypisać się?",
        "Nie wyślemy już wiadomości z kampanii. Nic się jeszcze nie zmieniło: prosimy potwierdzić.",
        "Wypisz mnie",
        "Jeśli ta strona została otwarta przypadkiem, wystarczy ją zamknąć.",
        "Wypisano z listy",
        "Nie będziemy już wysyłać wiadomości z kampanii. Tę stronę można zamknąć.",
        "Zakończ tylko tę serię",
        "Nie wyślemy już wiadomości z tej serii; inne mogą nadal przychodzić.",
        "Ta seria została zakończona",
        "Nie wyślemy już wiadomości z tej serii. Tę stronę można zamknąć.",
        "Zapisz mnie ponownie",
        "Po wypisaniu się zmieniasz zdanie?",
        "Zapisano ponownie",
        "Możemy znów wysyłać wiadomości. Wypisać się można w każdej chwili.",
    ),
    Words(
        "ru",
        "Отписаться?",
        "Вы больше не будете получать наши рассылки. Пока ничего не изменилось: пожалуйста, подтвердите.",
        "Отписаться",
        "Если вы открыли эту страницу случайно, просто закройте её.",
        "Вы отписаны",
        "Вы больше не будете получать наши рассылки. Эту страницу можно закрыть.",
        "Остановить только эту серию",
        "Писем этой серии больше не будет; другие письма могут приходить.",
        "Эта серия для вас завершена",
        "Писем этой серии больше не будет. Эту страницу можно закрыть.",
        "Подписаться снова",
        "Вы отписались и передумали?",
        "Вы снова подписаны",
        "Вы снова можете получать наши письма. Отписаться можно в любое время.",
    ),
    Words(
        "ja",
        "配信を停止しますか?",
        "今後、キャンペーンメールは届かなくなります。まだ手続きは完了していません。確認してください。",
        "配信を停止する",
        "誤ってこのページを開いた場合は、そのまま閉じてください。",
        "配信を停止しました",
        "今後、キャンペーンメールは届きません。このページは閉じて構いません。",
        "このシリーズだけ停止する",
        "このシリーズのメールは届かなくなります。ほかのメールは届くことがあります。",
        "このシリーズの配信を停止しました",
        "このシリーズのメールは今後届きません。このページは閉じて構いません。",
        "もう一度購読する",
        "配信を停止したあとで、お考えが変わりましたか?",
        "購読を再開しました",
        "今後、メールが届くことがあります。いつでも配信を停止できます。",
    ),
)
LANGUAGES = {words.code: words for words in _ALL}


def words_for(accept_language: str) -> Words:
    """The words in the language the reader likes best of those there are; else English."""
    return LANGUAGES[best_liked(accept_language, LANGUAGES)]
