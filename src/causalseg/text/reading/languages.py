"""Other languages, told by their commonest words and the words of their chest reports.

The reading is English. Reports of other languages share words with it ("consolidation",
"infiltrat"), so that one has to be told before it is read.
"""

from causalseg.text.sides import names_foreign_side

_WORDS = {
    "French": "le la les du des une et est dans avec sans pas au aux sur pour lobe poumon poumons "
    "gauche droit droite supérieur inférieur moyen supérieure inférieure bases opacité opacités "
    "alvéolaire épanchement pneumopathie pneumonie foyer bilatérale bilatérales bilatéraux "
    "infiltrats bilateraux opacite opacites epanchement superieur inferieur syndrome "
    "thoracique pulmonaire normale aucune condensation cœur pas d'anomalie lésion",
    "German": "der die das und ist im in den dem des ein eine kein keine keinen mit ohne nicht "
    "beidseits beidseitig beidseitige links rechts linken rechten linker rechter linke rechte "
    "normaler normales unauffälliger linksseitig rechtsseitig lunge lungen lungenflügel lungenfeld "
    "oberlappen unterlappen "
    "mittellappen oberfeld unterfeld mittelfeld verschattung verschattungen infiltrat infiltrate "
    "pneumonie erguss pleuraerguss verdacht auf bei unauffällig unauffaellig röntgen thorax basal",
    "Spanish": "el la los las del una un en con sin y es no por se al pulmón pulmon pulmones "
    "izquierdo izquierda derecho derecha superior inferior base bases lóbulo lobulo opacidad "
    "opacidades consolidación consolidacion infiltrado infiltrados neumonía neumonia derrame "
    "bilateral bilaterales sin consolidaciones infiltraciones condensación condensaciones "
    "hallazgos radiografía normal campos pulmonares ambos medio",
    "Italian": "il lo la gli le del della di nel nella con senza e un una non polmone polmoni "
    "polmonare polmonari sinistro sinistra destro destra superiore inferiore lobo addensamento "
    "addensamenti opacità opacita consolidamento infiltrati polmonite versamento bilaterale alla "
    "medio campo base basi",
    "Dutch": "de het een en is van met zonder geen niet in rechter linker rechts links longen long "
    "onderkwab bovenkwab middenkwab consolidatie infiltraat infiltraten longontsteking beide "
    "pneumonie pleuravocht onderveld bovenveld beiderzijds",
    "Portuguese": "o os as da do das dos em com sem e um uma não no na pulmão pulmao pulmões "
    "esquerdo esquerda direito direita superior inferior base lobo opacidade opacidades "
    "consolidação consolidacao infiltrado pneumonia derrame bilateral ambos",
    "Polish": "w i z bez po nie jest płuco płuca płuc lewego prawego lewym prawym lewy "
    "prawy dolnym "
    "górnym płacie zapalenie nacieki zagęszczenia",
    "Turkish": "ve bir sol sağ akciğer akciğerde alt üst lob lobda zatürre konsolidasyon yok var",
    "Swedish": "och i med utan inte höger vänster lunga lungan lungor underlob överlob infiltrat "
    "förtätning förtätningar pneumoni pleuravätska",
    "Latin": "lobi lobus lobo inferioris superioris medii dexter dextri dextra dextrae "
    "sinister sinistri sinistra sinistrae pulmo pulmonis pulmonum utriusque lateris sine cum",
    "Indonesian": "di dan pada dengan tidak paru kanan kiri infiltrat konsolidasi lobus bawah atas",
}
# Spelled as English words or abbreviations: they prove nothing.
_SHARED = frozenset(
    "in is i no on a an as me or do of do lobe bases base superior inferior bilateral "
    "normal thorax "
    "pneumonia basal lobo die den des at o e y d l s c syndrome condensation lo long al se "
    "infiltrate superior inferior".split()
)
_BY_WORD: dict[str, frozenset[str]] = {}
for _language, _text in _WORDS.items():
    for _word in _text.split():
        if _word not in _SHARED:
            _BY_WORD[_word] = _BY_WORD.get(_word, frozenset()) | {_language}


def other_language(words: list[str], known: set[str]) -> str | None:
    """The language of lower-case words, or None for English and what cannot be told.

    Args:
        words: of the whole text.
        known: those of them that the English lexicon has.

    """
    english = sum(word in known and word not in _SHARED and word not in _BY_WORD for word in words)
    votes: dict[str, int] = {}
    hits, side = 0, False
    for word in words:
        languages = _BY_WORD.get(word, frozenset())
        hits += bool(languages)
        side = side or bool(languages and names_foreign_side(word))
        for language in languages:
            votes[language] = votes.get(language, 0) + 1
    # One side that is not understood would send the answer to both lungs.
    if not side and (hits <= english or (hits == 1 and english and len(words) > 3)):
        return None
    return max(votes, key=lambda name: votes[name])
