"""What the vision-language and editing models are asked. The paper publishes no wording: this is ours."""

from __future__ import annotations

CAPTION = """These frames are from one video of one person, in order. Describe it in Chinese (cn) and English (en),
each long and short. Every description has two parts: [dynamic, static].
dynamic: the person's action and expression as they unfold, and the camera's movement. Never mention clothes in it.
static: scene, light and composition, the person's looks, and the clothes in detail.
long: two to five sentences a part. short: one sentence a part.
Answer with JSON: {"cn_long": [dynamic, static], "cn_short": [...], "en_long": [...], "en_short": [...]}"""

TAKE_OFF = (
    "Extract the main garment that the person wears. Show it alone as a product picture: flat, front view, complete, on"
    " a pure white background, with its exact colours, pattern, text and material. No person, no hanger, nothing else."
)

PUT_ON = (
    "Dress the person of the first picture in the garment of the second picture, in place of the {type} garment"
    " worn now. Keep face, hair, pose, hands, all other clothes, background, light and framing exactly as they are."
)

PICTURE = """The first picture is a frame of a video. The second should show the person's main garment, alone.
Mark from 1 (wrong) to 5 (right):
semantics: it is the same garment: kind, cut, length, sleeves, collar.
texture: its colours, pattern, text and material are the same.
context: nothing but the garment is seen on white: no body, no hanger, no other thing.
Answer with JSON: {"semantics": n, "texture": n, "context": n}"""

CLASSIFY = """Which part of the body does this garment cover? upper: tops, shirts, coats. lower: trousers, skirts.
full: dresses, jumpsuits. Answer with JSON: {"type": "upper" | "lower" | "full"}"""

COMPATIBLE = """The first picture shows a person, the second a garment. Would this person plausibly wear it instead of
the garment of its kind: does it fit sex, age, season and occasion? Mark from 1 (never) to 5 (well).
Answer with JSON: {"compatible": n}"""

REFERENCE = """The first picture is the original. The second is a garment. In the third, the person of the first should
wear that garment, and nothing else should differ. Mark from 1 (wrong) to 5 (right):
garment: the person wears exactly this garment, whole and naturally.
rest: face, hair, body, pose, hands, other clothes, background, light and framing are unchanged.
Answer with JSON: {"garment": n, "rest": n}"""
