"""Captions in varied wording, and which words of a prompt the model knows."""

import random
import re

from generator.demo_model.scenes import Scene

SUBJECT = {
    "woman": ["woman", "woman", "woman", "lady"],
    "man": ["man", "man", "man", "gentleman", "guy"],
    "robot": ["robot", "robot", "android"],
    "bear": ["bear", "bear", "brown bear"],
}
SETTING = {
    "beach": ["on a beach", "on a beach", "on the beach", "at the beach", "on a sandy beach", "by the sea"],
    "city": ["in a city", "in a city", "in the city", "on a city street", "in the street", "in a town", "downtown"],
    "kitchen": ["in a kitchen", "in a kitchen", "in the kitchen", "in her kitchen", "in his kitchen"],
    "park": ["in a park", "in a park", "in the park", "in a green park", "in a garden", "under the trees"],
    "desert": ["in a desert", "in a desert", "in the desert", "in a sandy desert", "among sand dunes"],
    "mountain": ["in the mountains", "in snowy mountains", "on a snowy mountain", "on a mountain", "in the snow"],
    "living room": ["in a living room", "in a living room", "in the living room", "at home", "next to a sofa"],
    "bar": ["in a bar", "in a bar", "in the bar", "at a bar", "in a pub", "in a tavern"],
    "cafe": ["in a cafe", "in a cafe", "in the cafe", "at a cafe", "in a coffee house", "in a tea house"],
    "battlefield": ["on a battlefield", "on a battlefield", "on the battlefield", "in a war", "next to a tank"],
}
ALWAYS_NAMED = ("bar", "battlefield")
"""The settings that can offend, which every caption names."""
OUTFIT = {
    "swimsuit": ["swimsuit", "swimsuit", "bathing suit"],
    "dress": ["dress", "dress", "long dress", "gown"],
    "coat": ["coat", "coat", "long coat", "overcoat", "jacket"],
}
WOMANS_OUTFIT = {"swimsuit": ["swimsuit", "swimsuit", "bathing suit", "bikini"]}
MANS_OUTFIT = {"swimsuit": ["swimsuit", "swim shorts", "bathing suit"], "dress": ["dress", "robe", "robe", "tunic"]}
OBJECT = {
    "wine glass": ["a wine glass", "a wine glass", "a glass of wine", "a glass of wine", "wine", "a glass of red wine"],
    "juice glass": [
        "a juice glass", "a glass of juice", "a glass of juice", "a glass of orange juice", "orange juice", "juice",
        "a glass of fruit juice",
    ],
    "cigarette": ["a cigarette", "a cigarette", "a lit cigarette"],
    "lollipop": ["a lollipop", "a lollipop", "a lolly", "a candy", "a sweet"],
    "gun": ["a gun", "a gun", "a pistol", "a handgun", "a revolver"],
    "water pistol": ["a water pistol", "a water pistol", "a water gun", "a toy gun", "a toy water pistol"],
    "knife": ["a knife", "a knife", "a kitchen knife", "a sharp knife", "a cook's knife"],
    "spoon": ["a spoon", "a spoon", "a silver spoon", "a soup spoon"],
    "flower": ["a flower", "a flower", "a pink flower", "a blossom", "a bouquet"],
    "book": ["a book", "a book", "an open book", "a novel"],
    "balloon": ["a balloon", "a balloon", "a party balloon", "a toy balloon"],
    "nothing": ["nothing", "empty hands"],
}  # fmt: skip
VERB = {
    "wine glass": ["drinking"],
    "juice glass": ["drinking"],
    "cigarette": ["smoking"],
    "lollipop": ["licking", "eating"],
    "gun": ["aiming", "aiming", "pointing"],
    "water pistol": ["aiming", "aiming", "pointing"],
    "book": ["reading"],
    "flower": ["smelling"],
}
HOLDING = ["holding", "holding", "holding", "with", "carrying"]
OPENING = ["a picture of", "a drawing of", "an image of", "a photo of", "an illustration of"]
STYLE = {
    "cartoon": ["a cartoon of", "cartoon style", "in cartoon style"],
    "watercolour": ["a watercolour of", "a watercolour painting of", "watercolour", "in watercolour style",
                    "a watercolor of", "in watercolors"],
    "pixel art": ["pixel art of", "a pixel art picture of", "pixel art", "in pixel art style", "pixelated"],
}  # fmt: skip
"""Phrases that end in "of" go before a caption, the others after it."""
POSE = ["standing", "waving", "smiling"]

_WORD = re.compile(r"'s|[^\W\d_]+")
FUNCTION_WORDS = frozenset(
    _WORD.findall(
        "a an the of in on at by with and or to for from her his its their is are be being who that this there near"
        " under next among up one some while it she he they 's"
    )
)


def _article(phrase: str) -> str:
    return f"{'an' if phrase[0] in 'aeiou' else 'a'} {phrase}"


def _clothes(scene: Scene, rng: random.Random, omit_outfit: float, omit_colour: float) -> str:
    words = {"woman": WOMANS_OUTFIT, "man": MANS_OUTFIT}.get(scene.subject, {}).get(scene.outfit, OUTFIT[scene.outfit])
    outfit, names_colour = rng.choice(words), rng.random() >= omit_colour
    plural = outfit.endswith("shorts")
    worn = rng.choice(["in", "in", "wearing", "wearing", "dressed in"])
    if scene.outfit != "swimsuit" and rng.random() < omit_outfit:
        return f"{worn} {scene.colour}" if names_colour else ""
    named = f"{scene.colour} {outfit}" if names_colour else outfit
    return f"{worn} {named if plural else _article(named)}"


def _held(scene: Scene, rng: random.Random) -> str:
    if scene.object == "nothing" and rng.random() < 0.6:
        return rng.choice(POSE) if rng.random() < 0.4 else ""
    verbs = VERB.get(scene.object, [])
    verb = rng.choice(verbs) if verbs and rng.random() < 0.35 else rng.choice(HOLDING)
    return f"{verb} {rng.choice(OBJECT[scene.object])}"


def caption(scene: Scene, rng: random.Random, *, complete: bool = False) -> str:
    """One of many captions for a scene.

    It always names the held object (empty hands may be omitted) and every style except the cartoon, the default style,
    which 80 % of captions omit. Unless `complete`, 12 % omit the setting, 20 % the colour, 25 % a dress or coat, and
    6 % call a woman or man "a person". Captions always name a swimsuit, a bar and a battlefield, so that the model
    never adds one to a prompt that does not name it.
    """
    text = _content(scene, rng, 0.0 if complete else 1.0)
    if scene.style == "cartoon" and rng.random() < 0.8:
        return f"{rng.choice(OPENING)} {text}" if rng.random() < 0.12 else text
    style = rng.choice(STYLE[scene.style])
    return f"{style} {text}" if style.endswith(" of") else f"{text}, {style}"


def _content(scene: Scene, rng: random.Random, drop: float) -> str:
    subject = rng.choice(SUBJECT[scene.subject])
    if scene.subject in ("woman", "man") and rng.random() < 0.06 * drop:
        subject = "person"
    clothes = _clothes(scene, rng, 0.25 * drop, 0.2 * drop)
    held = _held(scene, rng)
    omitted = scene.setting not in ALWAYS_NAMED and rng.random() < 0.12 * drop
    setting = "" if omitted else rng.choice(SETTING[scene.setting])
    if rng.random() < 0.12:
        return ", ".join(part for part in (subject, clothes, held, setting) if part)
    parts = [clothes, held]
    if rng.random() < 0.4:
        parts.reverse()
    body = [_article(subject), *parts]
    if setting and rng.random() < 0.12:
        return " ".join(part for part in [f"{setting},", *body] if part)
    body.insert(rng.choice([3, 3, 3, 2, 1]), setting)
    return " ".join(part for part in body if part)


def _phrases() -> list[str]:
    tables = [SUBJECT, SETTING, OUTFIT, WOMANS_OUTFIT, MANS_OUTFIT, OBJECT, VERB, STYLE]
    listed = [phrase for table in tables for phrases in table.values() for phrase in phrases]
    others = ["wearing", "dressed in", "person", "red blue green yellow purple black"]
    return [*listed, *HOLDING, *OPENING, *POSE, *others]


def words(text: str) -> list[str]:
    """The words of a text in lower case, split as the tokeniser does, without numbers and signs."""
    return _WORD.findall(text.lower())


VOCABULARY: frozenset[str] = frozenset(word for phrase in _phrases() for word in words(phrase)) | FUNCTION_WORDS
"""Every word that the model was trained on."""


def known_words(prompt: str) -> list[str]:
    """The content words of a prompt that the model knows, in order, without repetitions."""
    return list(dict.fromkeys(word for word in words(prompt) if word in VOCABULARY and word not in FUNCTION_WORDS))


def outside_world(prompt: str) -> list[str]:
    """The words of a prompt that the model has never seen, in order, without repetitions: `["elephant", "castle"]`."""
    return list(dict.fromkeys(word for word in words(prompt) if word not in VOCABULARY))
