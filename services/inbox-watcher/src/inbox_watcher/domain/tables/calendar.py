"""Names of months, and the words before the day on which somebody is back, by language.

Sources: CLDR month names; the out-of-office templates of Outlook, Gmail, Notes and their users.
"""

# ruff: noqa: RUF001 (letters of other scripts are meant)

#: The beginnings of the twelve names; enough letters to tell them apart.
MONTHS = (
    ("jan", "janv", "ene", "gen", "янв", "sty", "led", "ocak", "ιαν", "tammi", "ian", "січ"),
    ("feb", "fév", "fev", "фев", "lut", "úno", "şub", "φεβ", "helmi", "лют"),
    ("mar", "mär", "maart", "мар", "bře", "mrz", "μαρ", "maalis", "бер", "mrt"),
    ("apr", "avr", "abr", "апр", "kwi", "dub", "nis", "απρ", "huhti", "кві", "ápr"),
    ("may", "mai", "mei", "maj", "mag", "май", "мая", "kvě", "μαΐ", "μάι", "touko", "тра", "máj"),
    ("jun", "juin", "giu", "июн", "cze", "čer", "haz", "ιουν", "kesä", "чер", "iun", "jún"),
    ("jul", "juil", "lug", "июл", "lip", "čvc", "tem", "ιουλ", "heinä", "iul", "júl"),
    ("aug", "août", "aou", "ago", "авг", "sie", "srp", "ağu", "αυγ", "elo", "сер"),
    ("sep", "set", "сен", "wrz", "zář", "eyl", "σεπ", "syys", "вер", "szept"),
    ("oct", "okt", "ott", "out", "окт", "paź", "říj", "eki", "οκτ", "loka", "жов"),
    ("nov", "ноя", "lis", "kas", "νοε", "marras"),
    ("dec", "dez", "déc", "dic", "des", "дек", "gru", "pro", "ara", "δεκ", "joulu", "гру"),
)

#: Words right before the day of return, or the last day of the absence.
UNTIL = (
    r"until|till|til|through|thru|back (?:in (?:the )?office )?(?:on|in|by)?|returning|"
    r"return(?: to (?:the )?(?:office|work))?(?: on)?|"
    r"be back(?: in the office)?(?: on)?|bis(?: zum| einschließlich| inkl\.?)?|ab(?: dem)?|"
    r"zurück(?: bin ich)?(?: ab)?(?: am)?|"
    r"wieder(?: im büro| erreichbar| für sie da)?(?: ab)?(?: am| dem)?|jusqu['’]?(?:au|à|en)|"
    r"de retour(?: au bureau)?(?: le| à partir du)?|"
    r"retour(?: prévu)?(?: le)?|à partir du|hasta(?: el)?|regres(?:o|aré|"
    r"ando)(?: a la oficina)?(?: el)?|vuelvo(?: el)?|"
    r"fino (?:al|a)|rientr(?:o|erò)(?: in ufficio)?(?: il)?|torn(?:o|erò)(?: il)?|"
    r"até(?: o)?(?: dia)?|retorn(?:o|arei)(?: em| no dia| dia)?|"
    r"regress(?:o|arei)(?: em| a)?|t/m|tot(?: en met)?|terug(?: op| vanaf)?|weer (?:aanwezig|"
    r"bereikbaar)(?: op| vanaf)?|"
    r"till och med|t\.?o\.?m\.?|åter(?: den)?|tillbaka(?: den)?|tilbage(?: den| igen)?(?: d\.)?|"
    r"tilbake(?: den)?|til og med|"
    r"asti|saakka|palaan(?: toimistolle)?|do(?: dnia)?|wracam(?: dnia)?|powrót|"
    r"będę(?: ponownie)? dostępn\w+(?: od)?|do dne|zpět|"
    r"до|по|вернусь|буду (?:на месте|в офисе)|с|повернуся|kadar|döneceğim|έως|μέχρι|"
    r"επιστρέφω(?: στις)?|până(?: la)?|pe data de|"
    r"vissza(?:térek)?|-ig"
)
