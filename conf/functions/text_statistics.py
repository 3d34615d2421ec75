"""An example of a functions file: what it defines is registered when Ragbus starts. docs/functions.md says how to write more."""

import re
from collections import Counter
from typing import TypedDict

import ragbus

_WORD = re.compile(r"\w+(?:['’-]\w+)*")
_SENTENCE_END = re.compile(r"[.!?…。！？]+")


class TextStatistics(TypedDict):
    """Counts of one text; `frequent_words` has the most frequent, most frequent first."""

    characters: int
    words: int
    sentences: int
    unique_words: int
    frequent_words: list[str]


@ragbus.function(timeout="10s")
def text_statistics(texts: list[str], frequent: int = 5) -> list[TextStatistics]:
    """Count characters, words and sentences of texts.

    Useful to see what one is about to embed: how long the texts are, and what they are about.

    Args:
        texts: the texts
        frequent: how many frequent words to name

    """
    found: list[TextStatistics] = []
    for text in texts:
        if ragbus.cancelled():
            break
        words = [word.casefold() for word in _WORD.findall(text)]
        counts = Counter(words)
        sentences = sum(1 for sentence in _SENTENCE_END.split(text) if sentence.strip())
        found.append(
            TextStatistics(
                characters=len(text),
                words=len(words),
                sentences=sentences,
                unique_words=len(counts),
                frequent_words=[word for word, _ in counts.most_common(frequent)],
            )
        )
    return found
