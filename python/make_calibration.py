# SPDX-License-Identifier: Apache-2.0
"""Write ragbus/calibration.txt, the texts that int8 models are calibrated and measured on unless others are given.

400 texts of 1 to 250 tokens, one a line: questions, search queries, messages and paragraphs about a dozen things in English, and
a quarter of other languages, symbols and single words.
Sentences are patterns of our own with words put in, so nothing is anybody's text; seeded, so every machine makes the same file.
"""

# ruff: noqa: S311 - a script, no module; chance, no secrets
from __future__ import annotations

import random
import re
from pathlib import Path

SEED = 20_26
COUNT = 400
LENGTHS = (1, 1, 1, 1, 1, 2, 2, 2, 3, 4, 6, 10)  # sentences of a text
SHARE_OF_OTHERS = 0.25

WORDS = {
    "place": "Lisbon|Nairobi|Kyoto|the Alps|northern Canada|Buenos Aires|the Mekong delta|Glasgow|Marrakesh|Sicily|Tasmania|Oslo",
    "person": "Maria Lindqvist|Dr. Okafor|James Patel|the director|Ana Souza|Professor Weiss|Mr. Tanaka|Leila Haddad",
    "firm": "Northwind Textiles|Arbor Logistics|Helix Foods|the city council|Blue Harbour Bank|Quantel|Ferro & Sons",
    "number": "3|7|12|19|48|150|730|1,200|6,400|25,000|3.5|0.75|1.2 million",
    "percent": "2%|4.5%|11%|18%|a third|nearly half|63%|over 80%",
    "year": "1783|1848|1912|1936|1969|1987|1999|2008|2016|2023",
    "month": "January|March|late April|June|mid-September|October|December",
    "animal": "otter|barn owl|honey bee|grey wolf|octopus|hedgehog|Atlantic salmon|tortoise|house sparrow|blue whale",
    "food": "lentils|sourdough bread|roasted peppers|buttermilk|dark chocolate|ginger|chickpeas|smoked paprika|rice noodles",
    "device": "laptop|washing machine|router|electric bicycle|headset|thermostat|printer|solar inverter|dishwasher|camera",
    "illness": "influenza|high blood pressure|migraine|asthma|type 2 diabetes|a sprained ankle|anaemia|hay fever",
    "science": "photosynthesis|plate tectonics|superconductivity|gene expression|radioactive decay|convection|natural selection",
    "software": "database|message queue|web server|compiler|search index|scheduler|mobile application|backup job|load balancer",
    "error": "connection reset by peer|out of memory|permission denied|unexpected end of file|certificate has expired",
    "feeling": "delighted|a little disappointed|furious|relieved|surprised|grateful|unsure|exhausted",
    "art": "oil painting|string quartet|silent film|bronze statue|novel|photograph|tapestry|opera",
    "sport": "marathon|quarter-final|bicycle race|chess tournament|regatta|relay|derby",
    "law": "lease|warranty|employment contract|insurance policy|licence agreement|purchase order",
    "good": "bright|reliable|remarkably quiet|easy to clean|well made|cheap|fast|elegant",
    "bad": "noisy|slow|confusing|far too heavy|fragile|overpriced|hard to assemble|unreliable",
    "money": "£40|$1,250|€9.99|three hundred euros|2,000 yen|half a million dollars",
}

TOPICS = (
    (
        "The {animal} is found in much of {place}, where it feeds mostly at night.",
        "Adults weigh up to {number} kilograms, and the young stay with their mother for {number} weeks.",
        "Its numbers have fallen by {percent} since {year}, mainly because its habitat has been drained or built over.",
        "Unlike its relatives, it does not migrate, but moves to lower ground in {month}.",
        "What does a {animal} eat in winter?",
        "A survey near {place} counted {number} breeding pairs, more than anyone had expected.",
    ),
    (
        "Shares in {firm} rose by {percent} on Tuesday after the company reported better sales than analysts had forecast.",
        "The firm, which employs {number} people in {place}, said that it would open a second plant in {month}.",
        "Costs for energy and freight remain a concern, a spokesperson added.",
        "{person} will take over as chief executive at the end of {month}.",
        "Revenue for the quarter was {money} per share before exceptional items; a year earlier it had been {money}.",
        "interest rates and inflation outlook {year}",
    ),
    (
        "Soak the {food} overnight, then drain and rinse well.",
        "Heat two tablespoons of oil in a heavy pan and fry the onions until they are soft, about {number} minutes.",
        "Add the {food} and the {food}, season with salt, and let it simmer with the lid on.",
        "Serve warm, with a squeeze of lemon; it keeps in the fridge for {number} days.",
        "How long should I boil {food}?",
        "Do not open the oven door during the first {number} minutes, or the crust will collapse.",
    ),
    (
        "My {device} stopped working after {number} months, and I am {feeling} about it.",
        "The first one arrived with a scratch, but customer service replaced it within {number} days.",
        "It is {good} and {good}, though the manual is {bad}.",
        "For {money} you will not find anything better.",
        "Five stars for the {device}, one for the delivery.",
        "Battery life is nowhere near the {number} hours that are printed on the box; expect {percent} of that.",
    ),
    (
        "To reset the {device}, hold the power button for {number} seconds until the light blinks twice.",
        "If the {software} does not start, look for '{error}' in the log and compare versions with the release notes.",
        "ERROR {number} worker-3: {error} while writing to the {software}",
        "Since version {number}, the {software} keeps its settings in one file, which is read again whenever it changes.",
        'How do I stop a {software} from failing with "{error}"?',
        "Increase the limit to {number} MB, restart the {software}, and run the migration again; no data is lost.",
        "The function returns an empty list when the index is missing, so callers must check both.",
    ),
    (
        "Patients with {illness} were followed for {number} months; {percent} of them needed no further treatment.",
        "Common side effects include headache, dry mouth and, in rare cases, a rash on the arms.",
        "See a doctor if the fever lasts longer than {number} days or breathing becomes difficult.",
        "symptoms of {illness} in children",
        "The study was small, and its authors warn that the result may not hold for people above {number}.",
    ),
    (
        "In simple terms, {science} describes how energy or information moves from one part of a system to another.",
        "The idea was first put forward in {year}, yet it took decades until instruments were precise enough to test it.",
        "Measurements at {number} kelvin agree with the theory to within {percent}.",
        "What is the difference between {science} and {science}?",
        "Students often confuse the rate of the process with the amount that has been produced.",
    ),
    (
        "The {art}, finished in {year}, was thought lost until {person} found it in an attic in {place}.",
        "Critics praised its restraint; the public, for the most part, stayed away.",
        "The museum bought it for {money} and has kept it in store ever since.",
        "Seen from close by, the surface is rough and almost careless, but a few steps back the whole scene falls into place.",
        "who made the {art} shown in {place} in {year}",
    ),
    (
        "{person} won the {sport} in {place} by {number} seconds, her third victory this season.",
        "It rained for most of the afternoon, and {number} of the starters gave up before the last climb.",
        '"I had nothing left in the final minutes," {person} said, "but the crowd carried me home."',
        "The {sport} has been held every {month} since {year}.",
        "results of the {sport} in {place}",
    ),
    (
        "This {law} may be ended by either party with {number} days' notice in writing.",
        "The supplier is not liable for damage that results from improper use, fire, flood or any other event beyond its control.",
        "Any dispute that arises from this {law} shall be settled by the courts of {place}.",
        "Payment of {money} is due on the first working day of each month; interest of {percent} is charged thereafter.",
        "Can I cancel a {law} after {number} days?",
    ),
    (
        "The old town of {place} was rebuilt after the fire of {year}, street by street, on the lines of the medieval plan.",
        "A ferry leaves the harbour at {number} and takes about {number} hours, weather permitting.",
        "Most visitors come in {month}, when the markets are open and the hotels charge twice as much.",
        "From the tower you can see the whole valley, the reservoir and, on clear days, the sea.",
        "best time of year to visit {place}",
        "cheap hotels {place} near station",
    ),
    (
        "Hi {person}, could you send me the figures for {month} before the meeting?",
        "Thanks for your message; I am out of the office until {month} and will answer when I am back.",
        "We moved the call to 4 pm because {person} is on a train until then.",
        "I was {feeling} to hear that the offer has been withdrawn.",
        "Please find attached the {law} and an invoice for {money}.",
        "ok, see you then",
    ),
)


# Other scripts, symbols and the shortest texts give values that English alone does not; ranges must hold them too.
OTHERS = (
    "Вчера вечером мы долго гуляли по набережной, и ветер почти стих. Завтра обещают дождь, поэтому возьмите зонт.",
    "Библиотека работает с девяти утра до восьми вечера, кроме понедельника.",
    "في الصباح يفتح الخباز متجره مبكرا، ويشتري الجيران خبزهم وهم في طريقهم إلى العمل.",
    "كم يستغرق السفر بالقطار من هنا إلى البحر؟",
    "मेरे भाई ने कल नई साइकिल खरीदी। वह रोज़ नदी के किनारे घूमने जाता है और शाम को लौट आता है।",
    "নদীর ধারে একটি পুরনো নৌকা বাঁধা আছে।",
    "今天下午三点开会,请把报告发给大家。图书馆旁边新开了一家面馆,价格便宜,味道也好。",
    "駅前の本屋は夜九時まで開いています。雨の日はバスが遅れることがあります。",
    "내일 아침 일찍 출발하면 점심 전에 도착할 수 있습니다.",
    "Το λιμάνι ήταν ήσυχο και οι ψαράδες έφτιαχναν τα δίχτυα τους.",
    "הילדים שיחקו בחצר עד שהתחיל לרדת גשם.",
    "Die Brücke wurde im vergangenen Jahr gesperrt, weil ihre Pfeiler geprüft werden mussten.",
    "El tren de las ocho llega siempre con retraso, pero nadie se queja demasiado.",
    "Les élèves ont planté une vingtaine de pommiers derrière l'école.",
    "🙂 great!! 👍👍",
    "C:\\temp\\log_2023-11-05.txt",
    "https://www.example.com/search?q=blue+shoes&page=2",
    "for (int i = 0; i < n; i++) { sum += a[i] * b[i]; }",
    "SELECT name, count(*) FROM orders WHERE total > 100 GROUP BY name;",
    "... !!!",
    "?",
    "!",
    "A",
    "42",
    "no",
    "#",
)


def _other(chance: random.Random) -> str:
    return " ".join(chance.choices(OTHERS, k=chance.choice((1, 1, 2, 5))))


def _filled(chance: random.Random, pattern: str) -> str:
    text = re.sub(r"\{(\w+)\}", lambda slot: chance.choice(WORDS[slot[1]].split("|")), pattern)
    return text[0].upper() + text[1:] if pattern.startswith("{") and pattern.endswith((".", "?")) else text


def _text(chance: random.Random) -> str:
    """Return one text: sentences about one thing, none of its patterns twice in a row; or one of the others."""
    if chance.random() < SHARE_OF_OTHERS:
        return _other(chance)
    topic = chance.choice(TOPICS)
    wanted = chance.choice(LENGTHS)
    patterns = list(topic) if wanted == 1 else [it for it in topic if it.endswith((".", '"'))]
    chosen: list[str] = []
    while len(chosen) < wanted:
        chosen += chance.sample(patterns, len(patterns))
    return " ".join(_filled(chance, pattern) for pattern in chosen[:wanted])


def texts() -> list[str]:
    """Return the texts, all different."""
    chance = random.Random(SEED)
    made: dict[str, None] = {}
    while len(made) < COUNT:
        made[_text(chance)] = None
    return list(made)


def main() -> None:
    """Write the file."""
    (Path(__file__).parent / "ragbus" / "calibration.txt").write_text("\n".join(texts()) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
