# SPDX-License-Identifier: Apache-2.0
"""The texts of the golden files: plain data, the same in every run."""

from __future__ import annotations

import itertools
import random

SENTENCES: dict[str, list[str]] = {
    "english": [
        "The quick brown fox jumps over the lazy dog.",
        "Vert.x hands every message to an event loop, which must never wait.",
        "She sold the old piano and bought two tickets to Lisbon instead.",
        "Photosynthesis turns light, water and carbon dioxide into sugar and oxygen.",
        "In 1969, about 650 million people watched the first steps on the Moon.",
        "A queue without a bound is a memory leak that has not happened yet.",
        "The recipe asks for 250 g of flour, 3 eggs, a pinch of salt & lots of patience!",
        "Our refund policy: return the item within 30 days, unused, with its receipt.",
        "Rain is expected in the north tomorrow; the south stays dry at 28 °C.",
        "He whispered, “don't tell anyone”, and then told everyone himself.",
    ],
    "german": [
        "Der Fluss trat nach drei Tagen Regen über die Ufer und überschwemmte die Straße.",
        "Übung macht den Meister, sagt meine Großmutter jedes Mal.",
    ],
    "french": ["L'été dernier, nous avons traversé la forêt à vélo jusqu'à la côte.", "Ça va ? Très bien, merci."],
    "spanish": ["¿Dónde está la biblioteca más cercana? ¡Mañana será otro día!"],
    "polish": ["Zażółć gęślą jaźń, powiedział sędzia i zamknął książkę."],
    "turkish": ["İstanbul'da yağmur yağıyor, ama çocuklar hâlâ dışarıda oynuyor."],
    "vietnamese": ["Tiếng Việt có sáu thanh điệu và nhiều dấu phụ."],
    "russian": [
        "Съешь же ещё этих мягких французских булок, да выпей чаю.",
        "Поезд опоздал на сорок минут из-за снега.",
    ],
    "ukrainian": ["Їжак прийшов увечері, коли щойно стих дощ."],
    "greek": ["Ξεσκεπάζω την ψυχοφθόρα βδελυγμία."],
    "chinese": ["北京的秋天天高气爽,是旅行最好的季节。", "机器学习模型把文本变成向量,以便比较意义。"],
    "japanese": ["吾輩は猫である。名前はまだ無い。", "カタカナとひらがなと漢字が混ざった文です。"],
    "korean": ["다람쥐 헌 쳇바퀴에 타고파. 서울의 밤은 밝다."],
    "arabic": ["السلام عليكم، كيف حالك اليوم؟", "ذهبت إلى السوق واشتريت خبزا وتمرا."],
    "hebrew": ["דג סקרן שט בים מאוכזב ולפתע מצא חברה."],
    "hindi": ["मुझे हिंदी में किताबें पढ़ना अच्छा लगता है।", "बारिश के बाद आसमान साफ हो गया।"],
    "bengali": ["আমি বাংলায় গান গাই।"],
    "thai": ["ภาษาไทยไม่มีช่องว่างระหว่างคำ"],
    "emoji": ["😀 great news 🎉🎉 see you 👩‍👩‍👧‍👦 in 🇯🇵!", "👍🏽", "🙂🙃 ok ¯\\_(ツ)_/¯"],
}
ODD = [
    "a",
    "I",
    "7",
    "?",
    "中",
    "é",
    "Ж",
    "😀",
    " ",
    "\t\n",
    "",
    "...",
    "A B C",
    "e\u0301",
    "\u200b",
    "\ufefftext after a byte order mark",
    "ALL CAPS AND lower",
    "[CLS] literal special tokens [SEP] [MASK]",
    "https://example.org/a/b?c=d&e=f#g",
    "<p>markup &amp; entities</p>",
    "def f(x: int) -> int:\n    return x ** 2  # code",
    '{"key": [1, 2.5, null]}',
    "x" * 120,
    "ab" * 400,
    "1234567890" * 20,
    "\u0000nul\u0001inside",
    "ﬁne ligatures and ½ ² ™",
    "mixed 日本語 and English и русский",
]
LENGTHS = (20, 60, 150, 400, 900, 1_500, 2_500, 5_000)


def passage(sentences: list[str], chars: int, seed: int) -> str:
    """Return `chars` characters of shuffled sentences."""
    order = random.Random(seed)
    endless = itertools.chain.from_iterable(order.sample(sentences, len(sentences)) for _ in itertools.count())
    text = ""
    while len(text) < chars:
        text += next(endless) + " "
    return text[:chars]


def texts() -> list[str]:
    """Return every golden text."""
    single = [sentence for sentences in SENTENCES.values() for sentence in sentences]
    english = [passage(SENTENCES["english"], chars, seed) for seed, chars in enumerate(LENGTHS)]
    foreign = [
        passage(SENTENCES[language], chars, seed)
        for seed, (language, chars) in enumerate(itertools.product(("russian", "chinese", "arabic", "hindi"), (300, 2_000)))
    ]
    mixed = [passage(single, chars, seed) for seed, chars in enumerate((200, 1_000, 5_000))]
    return single + ODD + english + foreign + mixed
