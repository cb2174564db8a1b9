"""PTB-style caption tokens, as the published caption metrics count them.

A caption is split as the Penn Treebank does (`isn't` -> `is n't`, `dog's` -> `dog 's`; `well-lit` and `1,000` stay
whole), lower-cased, and stripped of sentence punctuation and quotes. The aim is to agree with the tokenizer of
pycocoevalcap 1.2 (Stanford CoreNLP 3.4.1 with `-lowerCase`), oddities included: `(` becomes `-lrb-` and is kept, `!!`
is kept while `!` is not, `end.Start` is one token, and a lone letter keeps its full stop (`vitamin c.`).

All rules are tried at the current position and the longest match wins, the earlier rule at equal length. Characters
that no rule knows (emoji outside the basic plane, control characters) part tokens and are dropped.

Known differences: phone numbers with brackets; letters outside the basic plane and in scripts that the 2014 tokenizer
did not know; rarer faces (`<:)`, `:|`); words run together with stray marks (`etc.n't`, `3-d.:)`). Any line break is a
blank here; there, some of them shift all later captions by one.
"""

import re

# Combining marks are no word characters for `re`, but they belong to the letter before them.
_MARK = "\u0300-\u036f\u0591-\u05bd\u064b-\u065e\u0900-\u0903\u093c\u093e-\u094d\u0e31\u0e34-\u0e3a\u0e47-\u0e4e"
_NOT_A_LETTER = "²³¹¼-¾⁰-₉⅐-↉①-⓿❶-➓\U00010000-\U0010ffff"
_L = rf"(?:[^\W\d_{_NOT_A_LETTER}]|[{_MARK}])"
_LD = rf"(?:[^\W_{_NOT_A_LETTER}]|[{_MARK}])"
_A = "['’]"  # a plain apostrophe
_AA = "['’`‘‛]"  # what people type instead of one
_WORD = rf"{_L}{_LD}*(?:[.!?]{_L}{_LD}*)*"
_HYPHENED = rf"(?:[-_‐‑](?:[dDoOlL]{_A}{_L})?{_LD}+)"
_NUMBER = r"(?:\d+(?:[.:,]\d+)*|(?:[.:,]\d+)+)"
_PART = r"[A-Za-z0-9]+(?:-[A-Za-z]+){0,2}"

# A full stop after these belongs to the word.
_ABBREVIATIONS = """
    mr mrs ms messrs dr prof st mt ft ave blvd rd ct sq bldg jr sr bros co cos inc ltd corp plc etc vs dept gov gen lt
    capt sgt cpl pvt maj col cmdr adm brig rev hon pres sen rep rt est jan feb mar apr jun jul aug sep sept oct nov dec
    mon tue tues wed thu thurs fri al assn assoc natl intl ph.d cf ala ariz calif colo conn fla ga ind kan ky md mich
    minn mo mont neb nev okla penn tenn va vt wis wyo univ tel ext alex wm jos esq asst supt atty mfg
"""
_ABBREVIATION = "(?i:" + "|".join(_ABBREVIATIONS.split()).replace(".", r"\.") + r")\."
# These are words in lower case.
_STATE = "(?:Ark|ARK|Del|DEL|Ill|ILL|La|LA|Mass|MASS|Miss|MISS|Ore|ORE|Pa|PA|Tex|TEX|Wash|WASH)\\."
# After a lone letter and a full stop these words begin a new sentence (`plan b. Then`), others do not (`J. Smith`).
_STARTERS = (
    "(?:A|An|The|THE|He|She|It|We|They|You|In|At|But|If|Then|There|This|That|These|Her|Our|Their|As|Mr|What|When|Some|"
    "Many|One|So|After|However|While)(?![A-Za-z])"
)

# A group `t` ends the token before its context does, but the whole match counts as its length.
_RULES = [
    re.compile(rule)
    for rule in (
        # Markup and addresses. The bounds keep hostile text from costing quadratic time.
        r"</?[A-Za-z!?][^>\n]{0,400}>",
        r"https?://[^\s\"<>(){}|]{2,400}(?<![.,!?-])",
        r"(?:[A-Za-z0-9]{1,100}\.){1,9}(?:com|net|org|edu)(?:/[^\s\"<>()]{2,400}(?<![.,!?-]))?",
        r"[A-Za-z0-9][^\s\"<>(){}|@]{0,100}@[^\s\"<>(){}|]{1,400}",
        # Contractions: `is|n't`, `dog|'s`, `'t|is`.
        rf"(?P<t>[A-Za-z]+?)[nN]{_AA}[tT]",
        rf"[nN]{_AA}[tT]",
        rf"(?P<t>{_WORD}|{_NUMBER}|{_LD}+){_A}(?:[msdMSD]|re|ve|ll|RE|VE|LL)(?!{_L})",
        rf"{_A}(?:[msdMSD]|re|ve|ll|RE|VE|LL)(?!{_L})",
        r"(?i:(?P<t>'t)(?:is|was)(?:n't)?(?![A-Za-z]))",
        # Words that keep their apostrophe: `'n'`, `y'`, `ol'`, `'em`, `'90s`, `ma'am`.
        rf"{_A}n(?:{_A}|(?!{_L}))|[lLdDjJyY]{_A}|(?i:ol|somethin|dunkin){_A}|{_A}(?:em|till?|cause)",
        rf"{_A}[2-9]0s|{_A}\d\d(?=\s|$)",
        rf"{_L}+[aeiouAEIOU]{_AA}[aeiouAEIOU]{_L}*|{_L}*[eE]{_A}er|[cC]{_A}(?:mon|est)",
        # Words, `state-of-the-art`, `u.s.-based`, and a full stop that stays before a comma.
        _WORD,
        rf"(?:[dDoOlL]{_A}{_L})?{_LD}+{_HYPHENED}*",
        r"[A-Za-z0-9][A-Za-z0-9.,]{0,100}(?:-(?:[A-Za-z](?:\.[A-Za-z])+(?![A-Za-z0-9])\.?|[A-Za-z0-9]+))+",
        rf"(?P<t>(?:[dDoOlL]{_A}{_L})?{_LD}+{_HYPHENED}*\.)[,;:、]",
        # Abbreviations and acronyms.
        rf"(?:[A-Za-z]\.){{2,}}|{_ABBREVIATION}",
        rf"[A-Za-z]\.(?!\s+(?:{_STARTERS}|</?[A-Za-z]))",
        rf"(?i:nos?|figs?|pp|art)\.(?= ?\d)|{_STATE}",
        r"[A-Z]+(?:[+&][A-Z]+)+|[cC]\+\+|[cCfF]#",
        # Numbers, dates, fractions, `red/blue`.
        rf"{_PART}(?:\\?/{_PART}){{1,2}}|\d{{1,2}}[-/]\d{{1,2}}[-/]\d{{2,4}}|(?:\d{{1,4}}-)?\d{{1,4}}/\d{{1,4}}",
        rf"[-+]?{_NUMBER}",
        # `@name`, `#tag`, `US$`, faces.
        rf"@[A-Za-z_]\w*|#{_L}+|[A-Z]+\$",
        r"[:;=][-']?[()\[\]DdPp](?![A-Za-z0-9])",
        r"\([-^=~]_[-^=~]\)|[-^=~<>]_[-^=~<>]",
        # Marks in a row, then single ones.
        r"[!?]{2,}|\*+|#+|_+|<<|>>|--+|\.{3,}|``|''|&(?:lt|gt|quot|#\d{1,5});",
        r"[*#_$%&+:;=<>\\^`|~/@()\[\]{}.,!?\"'-]",
        r"[‘’‚‛“”„‹›«»–—―…¡-©¬®-´¶-¿×÷‖‗†‡•‣‰-‸※‾-⁂⁄⁰⁴-⁾₀-₎₠₤€℀℁℃-℆℈℉℔№-℘℞-℣←-⯿⅓-⅞、。〒・！-／：-＠［-｀｛-･￠￡￥￦]",
    )
]
# Nearly all of a caption: blanks and plain words. No rule above could match more here.
_SIMPLE = re.compile(r"\s+|[A-Za-z]+(?=,?\s|$)")

_KNOWN = re.compile("|".join(rule.pattern for rule in _RULES[-2:]) + f"|{_LD}")
_CLITIC = re.compile(rf"(n?)({_AA})(t|s|m|d|re|ve|ll)")

_SPLIT = {
    "cannot": ["can", "not"],
    "gonna": ["gon", "na"],
    "gotta": ["got", "ta"],
    "wanna": ["wan", "na"],
    "gimme": ["gim", "me"],
    "lemme": ["lem", "me"],
}
_SPELLING = {"(": "-lrb-", ")": "-rrb-", "[": "-lsb-", "]": "-rsb-", "{": "-lcb-", "}": "-rcb-"}
_SPELLING |= {
    "£": "#",
    "€": "$",
    "₠": "$",
    "¤": "$",
    "¢": "cents",
    "½": "1/2",
    "¼": "1/4",
    "¾": "3/4",
    "⅓": "1/3",
    "⅔": "2/3",
}
_SPELLING |= {"&lt;": "<", "&gt;": ">", "&quot;": '"'}
_DROPPED = {"", ".", "?", "!", ",", ":", ";", "-", "--", "---", "----", "'", "''", "`", "``", '"', *"‘’‛“”‹›«»–—―…"}


def tokenize(caption: str) -> list[str]:
    """The tokens of one caption, lower-cased and without punctuation; an empty list if nothing is left."""
    text = caption.replace("\u00ad", "").replace("&nbsp;", " ").replace("&apos;", "'").replace("&amp;", "&")
    tokens: list[str] = []
    position = 0
    while position < len(text):
        simple = _SIMPLE.match(text, position)
        end = simple.end() if simple else _longest(text, position)
        token = text[position:end].lower()
        position = end
        tokens += _SPLIT[token] if token in _SPLIT and not _CLITIC.match(text, position) else _spell(token)
    return [token for token in tokens if token not in _DROPPED]


def _longest(text: str, position: int) -> int:
    """Where the token that starts at `position` ends; one further if no rule knows the character."""
    length, end = 0, position + 1
    for rule in _RULES:
        match = rule.match(text, position)
        if match and match.end() - position > length:
            length = match.end() - position
            end = match.end("t") if rule.groups and match["t"] else match.end()
    return end


def _spell(token: str) -> list[str]:
    """A raw token as the treebank writes it; several where it held a blank, none where the character is unknown."""
    if clitic := _CLITIC.fullmatch(token):
        return [clitic[1] + ("'" if clitic[2] in "'’" else "`") + clitic[3]]
    if token.startswith("..") or (len(token) == 1 and not _KNOWN.match(token)):
        return []
    return (_SPELLING.get(token) or token.replace("(", "-lrb-").replace(")", "-rrb-")).split()
