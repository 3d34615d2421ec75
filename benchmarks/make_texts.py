# SPDX-License-Identifier: Apache-2.0
"""Write 2,000 English-like paragraphs of mixed length, one a line: the texts that every measurement runs on.

Seeded, so every machine makes the same file. Lengths are log-normal, 37 word pieces on average, from a few to more than
the 256 that the model reads. Sentences follow simple patterns over words in order of how common they are; rare words,
names and numbers, which a tokenizer cuts into pieces, are so common that a word has 1.23 pieces.
"""

# ruff: noqa: INP001 - a script, no module
from __future__ import annotations

import argparse
import itertools
import math
import random
from pathlib import Path

SEED = 20_26
COUNT = 2_000
MEDIAN_WORDS = 21.0
SPREAD = 0.8
SHORTEST, LONGEST = 1, 330


def _words(text: str) -> list[str]:
    return text.split()


DETERMINERS = _words(
    """
    the a this that each every another its their our some any no one
    """
)
ADJECTIVES = _words(
    """
    new old large small early late public local common great long short high low major young national important
    open free strong clear simple modern natural recent northern western central ancient popular industrial quiet
    broad narrow gentle remote fertile steep coastal mountainous medieval renewable seasonal scientific
    unprecedented decentralised photosynthetic bureaucratic multilingual semiconducting archaeological
    hydroelectric pedagogical metamorphic transcontinental
    """
)
NOUNS = _words(
    """
    time year people way day work city river country group problem hand place week company system program question
    government number night point home water room mother area money story fact month book law house music school
    team study house field village bridge market engine library harbour forest valley season garden teacher farmer
    worker museum railway station mountain island summer winter weather temperature language newspaper telescope
    experiment population electricity machine parliament orchestra festival cathedral laboratory manuscript
    merchant peninsula reservoir vaccination archipelago turbine compiler algorithm microscope earthquake
    biodiversity thermometer lighthouse windmill observatory aqueduct chlorophyll mitochondrion viscosity isotopes
    stalactites typesetting glassblowing cartography beekeeping shipwright seismometer bioluminescence
    desalination hieroglyphs permafrost tardigrade
    """
)
VERBS = _words(
    """
    made took found gave told became left brought began kept held wrote stood heard let meant met ran paid sat
    spoke led grew lost fell sent built understood drew broke spent cut rose drove bought wore chose opened closed
    changed followed reached served crossed supported influenced described established surrounded transported
    measured harvested illuminated refurbished synthesised excavated commemorated circumnavigated electrified
    repurposed catalogued overshadowed
    """
)
ADVERBS = _words(
    """
    often soon later early slowly quickly again almost mainly largely rarely gradually eventually independently
    """
)
PREPOSITIONS = _words(
    """
    of in to for with on at from by about into over after under between through during against near beyond
    """
)
JOINERS = _words(
    """
    and but because while although so when until since where
    """
)
NAMES = _words(
    """
    London Paris Berlin Vienna Madrid Oslo Lisbon Kyoto Lima Nairobi Montreal Geneva Edinburgh Ljubljana
    Thessaloniki Maria James Chen Ahmed Olga Fatima Johansson Nakamura Okonkwo Szymanowski Villeneuve Raghunathan
    Everest Danube Amazon Mont Blanc Titicaca Kilimanjaro Vesuvius Ijsselmeer
    """
)

PATTERNS = (
    "D N V D N",
    "D A N V P D N",
    "X V D A N P X",
    "D N P D N V D A N",
    "P Y D N P X V D N",
    "D A A N R V D N P D A N",
    "X J X R V D N P D N",
    "D N V Z N P D N",
    "R D N P X V P D A N",
)
MAKES_PIECES = 0.12  # how often a word gets an ending that most vocabularies lack


def _common_first(words: list[str]) -> list[float]:
    return list(itertools.accumulate(1 / (rank + 3) for rank in range(len(words))))


WORDS = {
    "D": DETERMINERS,
    "A": ADJECTIVES,
    "N": NOUNS,
    "V": VERBS,
    "R": ADVERBS,
    "P": PREPOSITIONS,
    "J": JOINERS,
    "X": NAMES,
}
WEIGHTS = {kind: _common_first(words) for kind, words in WORDS.items()}


def word(chance: random.Random, kind: str) -> str:
    """Return a word of a kind: common ones more often, as Zipf has it."""
    if kind == "Y":
        return str(chance.randint(1750, 2025))
    if kind == "Z":
        return f"{chance.randint(2, 40_000):,}"
    chosen = chance.choices(WORDS[kind], cum_weights=WEIGHTS[kind])[0]
    return f"{chosen}s" if kind == "N" and chance.random() < MAKES_PIECES else chosen


def clause(chance: random.Random) -> list[str]:
    """Return the words of a clause."""
    return [word(chance, kind) for kind in chance.choice(PATTERNS).split()]


def paragraph(chance: random.Random, words: int) -> str:
    """Return sentences of so many words together; the last one may be cut short, as a search query is."""
    sentences: list[str] = []
    while words > 0:
        sentence = clause(chance)
        while len(sentence) < words and chance.random() < 0.4:  # noqa: PLR2004
            sentence[-1] += ","
            sentence += [word(chance, "J"), *clause(chance)]
        sentence = sentence[:words]
        words -= len(sentence)
        text = " ".join(sentence).rstrip(",")
        sentences.append(f"{text[0].upper()}{text[1:]}.")
    return " ".join(sentences)


def main() -> None:
    """Write the file."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("file", type=Path)
    arguments.add_argument("--count", type=int, default=COUNT)
    chosen = arguments.parse_args()
    chance = random.Random(SEED)  # noqa: S311 - texts, not secrets
    lengths = (round(chance.lognormvariate(math.log(MEDIAN_WORDS), SPREAD)) for _ in range(chosen.count))
    texts = [paragraph(chance, min(LONGEST, max(SHORTEST, length))) for length in lengths]
    chosen.file.parent.mkdir(parents=True, exist_ok=True)
    chosen.file.write_text("\n".join(texts) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
