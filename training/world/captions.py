"""Captions: the static one tells scene, person and garment, the dynamic one the action alone."""

from training.world.garment import Form, Garment, GarmentType, Length, Pattern
from training.world.identity import Build, HairStyle, Person
from training.world.motion import Action, Amplitude, Motion, Side, Tempo
from training.world.outfit import Outfit
from training.world.scene import Scene

PHASES = 16
"""The dynamic caption tells the phase in sixteenths of a cycle."""

_ACTIONS = {
    Action.SWAY: "sways on the spot, resting on {their} {side} leg",
    Action.WALK: "walks on the spot towards {their} {side}",
    Action.TURN: "turns to {their} {side} and back",
    Action.WAVE: "waves with {their} {side} hand",
    Action.DANCE: "dances, facing {their} {side}",
    Action.RAISE: "raises both arms, leaning to {their} {side}",
}
_TEMPI = {Tempo.SLOWLY: "slowly", Tempo.STEADILY: "steadily", Tempo.QUICKLY: "quickly"}
_AMPLITUDES = {Amplitude.SMALL: "small", Amplitude.MEDIUM: "medium", Amplitude.WIDE: "wide"}
_SIDES = {Side.LEFT: "left", Side.RIGHT: "right"}
_HAIR = {HairStyle.PONYTAIL: "a {colour} ponytail"}
_SKIRT_LENGTHS = {Length.SHORT: "short", Length.REGULAR: "knee-length", Length.LONG: "long"}
_TOP_LENGTHS = {Length.SHORT: "cropped ", Length.REGULAR: "", Length.LONG: "long "}
_TROUSERS = {Length.SHORT: "shorts", Length.REGULAR: "trousers", Length.LONG: "wide trousers"}


def dynamic_caption(person: Person, motion: Motion, phase: float | None) -> str:
    """The action, never the garment: "She waves with her left hand, quickly, wide; phase 5 of 16."

    `phase` (cycles) is the phase at the first frame to come; None leaves the suffix out.
    """
    action = _ACTIONS[motion.action].format(their=person.possessive, side=_SIDES[motion.side])
    caption = f"{person.pronoun.capitalize()} {action}, {_TEMPI[motion.tempo]}, {_AMPLITUDES[motion.amplitude]}"
    return f"{caption}." if phase is None else f"{caption}; phase {sixteenth(phase)} of {PHASES}."


def sixteenth(phase: float) -> int:
    """The sixteenth of a cycle nearest to `phase`, 0 to 15."""
    return round(phase * PHASES) % PHASES


def garment_phrase(garment: Garment) -> str:
    """As "a long-sleeved v-necked red top with white dots"."""
    noun = f"{garment.colour.title} {_noun(garment)}"
    if garment.type is not GarmentType.LOWER:
        noun = f"{garment.cut.sleeve} {garment.cut.collar} {noun}"
    pattern = "" if garment.pattern is Pattern.PLAIN else f" with {_second(garment)}"
    phrase = f"{noun}{pattern}"
    plural = garment.cut.form is Form.TROUSERS
    return phrase if plural else f"{'an' if phrase[0] in 'aeiou' else 'a'} {phrase}"


def _second(garment: Garment) -> str:
    if garment.pattern is Pattern.LOGO:
        return f"a {garment.second.title} logo"
    return f"{garment.second.title} {garment.pattern}"


def _noun(garment: Garment) -> str:
    length = garment.cut.length
    if garment.type is GarmentType.FULL:
        return f"{_SKIRT_LENGTHS[length]} dress"
    if garment.type is GarmentType.UPPER:
        return f"{_TOP_LENGTHS[length]}top"
    return f"{_SKIRT_LENGTHS[length]} skirt" if garment.cut.form is Form.SKIRT else _TROUSERS[length]


def static_caption(scene: Scene, person: Person, outfit: Outfit) -> str:
    """The room, the person, and what is worn."""
    colour = person.hair_colour.name.lower()
    hair = _HAIR.get(person.hair_style, f"{person.hair_style} {{colour}} hair").format(colour=colour)
    beard = " and a beard" if person.beard else ""
    worn = " and ".join(garment_phrase(g) for g in reversed(outfit.garments))
    things = [str(p) for p in (scene.left, scene.right) if p is not None]
    room = f"a room with {scene.wall.name.lower()} walls" + "".join(f", a {thing}" for thing in things)
    article = "An" if person.build is Build.AVERAGE else "A"
    return f"{article} {person.build} {person.presentation} with {hair}{beard} stands in {room}, wearing {worn}."


def brief_caption(person: Person, garment: Garment) -> str:
    """The static caption for a text encoder of few tokens: "Woman, red hair; navy dress, white dots." """
    noun = {GarmentType.FULL: "dress", GarmentType.UPPER: "top"}.get(garment.type, garment.cut.form)
    pattern = "" if garment.pattern is Pattern.PLAIN else f", {_second(garment).removeprefix('a ')}"
    colour = person.hair_colour.name.lower()
    return f"{person.presentation.capitalize()}, {colour} hair; {garment.colour.title} {noun}{pattern}."


def full_caption(static: str, dynamic: str) -> str:
    return f"{static} {dynamic}"
