"""Served models, by OpenAI's HTTP protocol through its Python client, as vLLM serves Qwen3-VL and Qwen-Image-Edit.

Retries, back-off and timeouts are the client's; how many requests run at the same time is bounded here.
"""

from __future__ import annotations

import base64
import os
import threading
from collections.abc import Mapping, Sequence
from io import BytesIO
from typing import Any, TypeVar

import openai
from openai.types.chat import ChatCompletionContentPartParam
from openai.types.shared_params import ResponseFormatJSONSchema
from PIL import Image
from pydantic import BaseModel, ValidationError

from curation.clip import View
from curation.config import Endpoint, Mark
from curation.frames import Frames, Rgb
from curation.models import instructions
from curation.models.installed import ModelMissing
from curation.models.pictures import decoded, fitted, png
from curation.roles import CAPTIONS, Garment, GarmentType, ModelTrouble, PictureMarks, ReferenceMarks

Answer = TypeVar("Answer", bound=BaseModel)
_JPEG_QUALITY = 92


class _Served:
    def __init__(self, config: Endpoint, *, seed: int) -> None:
        self.name = config.model
        self._seed, self._gate = seed, threading.BoundedSemaphore(config.concurrency)
        self._client = openai.OpenAI(
            base_url=config.url, api_key=_key(config), timeout=config.timeout_s, max_retries=config.retries
        )

    @classmethod
    def check(cls, config: Endpoint) -> None:
        """ModelMissing if the key is asked for and not there. That the server answers is seen at the first question."""
        _key(config)

    def _trouble(self, error: object) -> ModelTrouble:
        return ModelTrouble(f"{self.name} at {self._client.base_url}: {error}")


class _Asking(_Served):
    """A vision-language model that answers with JSON."""

    def _ask(self, question: str, pictures: Sequence[Rgb], answer: type[Answer], *, attempt: int = 1) -> Answer:
        """
        Raises:
            ModelTrouble: there was no answer in time, or not one of the asked form.
        """
        content: list[ChatCompletionContentPartParam] = [_shown(picture) for picture in pictures]
        content.append({"type": "text", "text": question})
        form: ResponseFormatJSONSchema = {
            "type": "json_schema",
            "json_schema": {"name": answer.__name__, "schema": answer.model_json_schema(), "strict": True},
        }
        try:
            with self._gate:
                completion = self._client.chat.completions.create(
                    model=self.name,
                    messages=[{"role": "user", "content": content}],
                    response_format=form,
                    temperature=0.0 if attempt == 1 else 0.7,
                    seed=self._seed + attempt,
                )
            text = completion.choices[0].message.content or ""
            return answer.model_validate_json(text[text.find("{") : text.rfind("}") + 1])
        except (openai.OpenAIError, ValidationError, IndexError) as error:
            raise self._trouble(error) from error


class EndpointCaptioner(_Asking):
    def caption(self, view: View, frames: Frames, *, attempt: int) -> Mapping[str, object]:
        answer = self._ask(instructions.CAPTION, list(frames), _Captions, attempt=attempt)
        return {name: getattr(answer, name) for name in CAPTIONS}


class EndpointInspector(_Asking):
    def picture(self, view: View, picture: Rgb) -> PictureMarks:
        answer = self._ask(instructions.PICTURE, [view.first, picture], _Picture)
        return PictureMarks(**answer.model_dump())

    def classify(self, view: View, picture: Rgb) -> GarmentType:
        return self._ask(instructions.CLASSIFY, [picture], _Type).type

    def compatible(self, view: View, garment: Garment) -> int:
        pictures = [view.first, _read(garment)]
        return self._ask(instructions.COMPATIBLE, pictures, _Compatible).compatible

    def reference(self, view: View, garment: Garment, reference: Rgb) -> ReferenceMarks:
        pictures = [view.first, _read(garment), reference]
        answer = self._ask(instructions.REFERENCE, pictures, _Reference)
        return ReferenceMarks(**answer.model_dump())


class EndpointDresser(_Served):
    """An editing model behind /images/edits."""

    def take_off(self, view: View, *, attempt: int) -> Rgb:
        return self._edit(instructions.TAKE_OFF, [view.first], attempt)

    def put_on(self, view: View, garment: Garment, *, attempt: int) -> Rgb:
        prompt = instructions.PUT_ON.format(type=garment.type)
        return fitted(self._edit(prompt, [view.first, _read(garment)], attempt), view.clip.height, view.clip.width)

    def _edit(self, prompt: str, pictures: Sequence[Rgb], attempt: int) -> Rgb:
        height, width = pictures[0].shape[:2]
        files = [(f"{number}.png", png(picture), "image/png") for number, picture in enumerate(pictures, 1)]
        try:
            with self._gate:
                answer = self._client.images.edit(
                    model=self.name,
                    image=files,
                    prompt=prompt,
                    extra_body={
                        "size": f"{width}x{height}",
                        "seed": self._seed + attempt,
                        "response_format": "b64_json",
                    },
                )
            data = answer.data[0].b64_json if answer.data else None
            return decoded(base64.b64decode(data or "", validate=True))
        except (openai.OpenAIError, ValueError, OSError) as error:
            raise self._trouble(error) from error


class _Captions(BaseModel):
    """Their form is checked by the stage, which asks again: a malformed caption says something about the clip."""

    cn_long: Any = None
    cn_short: Any = None
    en_long: Any = None
    en_short: Any = None


class _Picture(BaseModel):
    semantics: Mark
    texture: Mark
    context: Mark


class _Type(BaseModel):
    type: GarmentType


class _Compatible(BaseModel):
    compatible: Mark


class _Reference(BaseModel):
    garment: Mark
    rest: Mark


def _key(config: Endpoint) -> str:
    if config.key_env is None:
        return "none"
    if key := os.environ.get(config.key_env):
        return key
    raise ModelMissing(f"{config.model} at {config.url} needs a key in {config.key_env}, which is not set")


def _read(garment: Garment) -> Rgb:
    return decoded(garment.picture.read_bytes())


def _shown(picture: Rgb) -> ChatCompletionContentPartParam:
    file = BytesIO()
    Image.fromarray(picture).save(file, format="JPEG", quality=_JPEG_QUALITY)
    url = f"data:image/jpeg;base64,{base64.b64encode(file.getvalue()).decode()}"
    return {"type": "image_url", "image_url": {"url": url}}
