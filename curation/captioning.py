"""The second stage: a dynamic and a static caption, Chinese and English, long and short."""

from __future__ import annotations

import re
from collections.abc import Mapping

from curation.clip import Clip
from curation.config import Config
from curation.ledger import Entry, Outcome, Reason, Stage
from curation.roles import CAPTIONS, Captioner, Captions
from curation.store import Store

CAPTION = "caption"
_CHINESE = re.compile(r"[\u4e00-\u9fff]")


def caption(store: Store, config: Config, captioner: Captioner, clip: Clip) -> None:
    """Ask until an answer is well-formed, or the attempts are spent."""
    ledger, view = store.ledger(clip.id), store.view(clip)
    attempts = config.caption.attempts
    for attempt in range(len(ledger.of(Stage.CAPTION, CAPTION)) + 1, attempts + 1):
        before = ledger.last(Stage.CAPTION, CAPTION)
        if before is not None and before.outcome is Outcome.KEPT:
            break
        answer = captioner.caption(view, view.spread(config.caption.frames), attempt=attempt)
        try:
            captions, fault = checked(answer), ""
        except ValueError as error:
            captions, fault = {}, str(error)
        last = attempt == attempts
        ledger.add(
            Entry(
                stage=Stage.CAPTION,
                check=CAPTION,
                outcome=Outcome.KEPT if captions else Outcome.DISCARDED if last else Outcome.RETRY,
                reason=None if captions else Reason.CAPTION,
                attempt=attempt,
                model=captioner.name,
                note=fault,
                data={"captions": captions} if captions else {"answer": dict(answer)},
            )
        )
    if ledger.discarded is None:
        ledger.close(Stage.CAPTION)


def checked(answer: Mapping[str, object]) -> Captions:
    """
    Raises:
        ValueError: a caption is missing or empty, in the wrong language, or longer than its long form.
    """
    captions: dict[str, tuple[str, str]] = {}
    for name in CAPTIONS:
        match answer.get(name):
            case [str(dynamic), str(static)] if dynamic.strip() and static.strip():
                captions[name] = (dynamic.strip(), static.strip())
            case found:
                raise ValueError(f"{name} is {found!r} and not [dynamic, static]")
        for part in captions[name]:
            if bool(_CHINESE.search(part)) != name.startswith("cn"):
                raise ValueError(f"{name} is in the wrong language: {part!r}")
    for language in ("cn", "en"):
        long, short = captions[f"{language}_long"], captions[f"{language}_short"]
        if len("".join(short)) > len("".join(long)):
            raise ValueError(f"{language}_short is longer than {language}_long")
    return captions
