"""Words of a report that a reader may not know, each with what it means, as tooltips and as a list."""

import re
from collections.abc import Sequence

from markupsafe import Markup, escape

GLOSSARY = {
    "observer": "Anybody who tries to recognise people on the results: the target recogniser, a judge or an attacker.",
    "gate": "How well an observer must recognise the originals before its failure on results counts as protection.",
    "control": "The same mask with one encode and decode, nothing repainted: what that loses is no merit of a method.",
    "net": "The net fool rate counts only photos that the control leaves recognised.",
    "judge": "A recogniser that the method has never seen; it knows nothing of how the masks were chosen.",
    "budget": "The share of the frame that a method may hide; every method gets the same, or areas are not comparable.",
    "live guidance": "Guidance is live where the prompt tells the painter something; else its scale does nothing.",
}
"""Term to its meaning, in the order of the list."""

_FOUND = re.compile(r"\b(live guidance|guidance is|observer|gate|control|net|judge|budget)(s?)\b", re.IGNORECASE)
_SAME = {"guidance is": "live guidance"}


def glossed(text: str, sentences: Sequence[str] = ()) -> Markup:
    """A text whose first mention of each term becomes a button with a tooltip; everything else is escaped.

    Args:
        text: plain.
        sentences: that stand before it in the same paragraph: what they mention is explained already.

    Example:
        >>> "data-gloss=" in glossed("Two observers tried."), glossed("<b>")
        (True, Markup('&lt;b&gt;'))
    """
    seen = {_term(match) for sentence in sentences for match in _FOUND.finditer(sentence)}
    parts, at = [], 0
    for match in _FOUND.finditer(text):
        if _term(match) in seen:
            continue
        seen.add(_term(match))
        parts += [escape(text[at : match.start()]), button(_term(match), match.group())]
        at = match.end()
    return Markup("").join([*parts, escape(text[at:])])


def button(term: str, word: str) -> Markup:
    """A word that explains itself to pointer, finger and keyboard."""
    return Markup('<button type="button" class="term" data-gloss="{}" aria-label="{}: {}">{}</button>').format(
        GLOSSARY[term], word, GLOSSARY[term], word
    )


def _term(match: re.Match[str]) -> str:
    word = match.group(1).lower()
    return _SAME.get(word, word)
