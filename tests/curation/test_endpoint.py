"""Served models through a real HTTP server on loopback: what is sent, what is understood, what counts as trouble."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from curation.clip import Clip, Span, View
from curation.config import Endpoint
from curation.frames import Rgb
from curation.models.endpoint import EndpointCaptioner, EndpointDresser, EndpointInspector
from curation.models.installed import ModelMissing
from curation.models.pictures import decoded
from curation.roles import Garment, GarmentType, ModelTrouble, PictureMarks, ReferenceMarks
from curation.store import write_picture
from tests.curation.served import Server, serving

MARKS = '{"semantics": 5, "texture": 4, "context": 3}'
CAPTIONS = {name: ["a", "b"] for name in ("cn_long", "cn_short", "en_long", "en_short")}


@pytest.fixture
def server() -> Iterator[Server]:
    with serving(Server(answers=[MARKS])) as server:
        yield server


@pytest.fixture
def view(monkeypatch: pytest.MonkeyPatch) -> View:
    """A clip of a red picture, without a file."""
    red = np.zeros((1, 48, 32, 3), np.uint8)
    red[..., 0] = 200
    monkeypatch.setattr("curation.clip.sample", lambda file, places, **_: np.repeat(red, len(places), 0))
    clip = Clip(id="c", video="v", span=Span(start_s=0, end_s=4), frames=40, rate=10, width=32, height=48)
    return View(clip=clip, file=Path("none.mp4"))


@pytest.fixture
def garment(view: View, tmp_path: Path) -> Garment:
    picture = tmp_path / "garment.png"
    write_picture(picture, plain(0, 0, 200))
    return Garment(view=view, type=GarmentType.LOWER, picture=picture)


def plain(red: int, green: int, blue: int, size: tuple[int, int] = (48, 32)) -> Rgb:
    return np.full((*size, 3), (red, green, blue), np.uint8)


def endpoint(server: Server, **settings: object) -> Endpoint:
    values = {"kind": "endpoint", "url": server.url, "model": "some-model", "retries": 0, "timeout_s": 5.0}
    return Endpoint.model_validate(values | settings)


def test_the_inspector_sends_frame_and_picture_and_understands_the_marks(server: Server, view: View) -> None:
    marks = EndpointInspector(endpoint(server), seed=0).picture(view, plain(0, 200, 0))
    assert marks == PictureMarks(semantics=5, texture=4, context=3)
    frame, picture = (shown.mean(axis=(0, 1)) for shown in server.pictures())
    assert frame[0] > 190 > 10 > frame[1]
    assert picture[1] > 190 > 10 > picture[0]
    (chat,) = server.chats
    assert chat["model"] == "some-model"
    assert chat["response_format"]["json_schema"]["schema"]["required"] == ["semantics", "texture", "context"]


def test_an_answer_may_have_words_around_its_json(server: Server, view: View, garment: Garment) -> None:
    server.answers = ['Here you are:\n```json\n{"garment": 5, "rest": 1}\n```\nAnything else?']
    marks = EndpointInspector(endpoint(server), seed=0).reference(view, garment, plain(1, 1, 1))
    assert marks == ReferenceMarks(garment=5, rest=1)
    assert len(server.pictures()) == 3


def test_the_type_and_whether_it_suits_are_asked_with_the_right_pictures(
    server: Server, view: View, garment: Garment
) -> None:
    inspector = EndpointInspector(endpoint(server), seed=0)
    server.answers = ['{"type": "full"}', '{"compatible": 2}']
    assert inspector.classify(view, plain(9, 9, 9)) is GarmentType.FULL
    assert len(server.pictures()) == 1
    assert inspector.compatible(view, garment) == 2
    assert len(server.pictures()) == 2


@pytest.mark.parametrize(
    "answer", ["I cannot tell.", '{"semantics": 9, "texture": 4, "context": 3}', '{"texture": 4}', ""]
)
def test_an_answer_of_another_form_is_trouble_and_no_mark(server: Server, view: View, answer: str) -> None:
    server.answers = [answer]
    with pytest.raises(ModelTrouble, match="some-model at http://127"):
        EndpointInspector(endpoint(server), seed=0).picture(view, plain(0, 0, 0))


def test_captions_go_to_the_stage_as_they_are(server: Server, view: View) -> None:
    server.answers = [json.dumps({**CAPTIONS, "cn_long": 7})]
    captioner = EndpointCaptioner(endpoint(server), seed=3)
    answer = captioner.caption(view, view.spread(4), attempt=2)
    assert answer == {**CAPTIONS, "cn_long": 7}
    assert len(server.pictures()) == 4
    assert server.chats[0]["seed"] == 5


def test_each_attempt_asks_with_another_seed(server: Server, view: View) -> None:
    server.edited = plain(1, 2, 3)
    dresser = EndpointDresser(endpoint(server), seed=10)
    for attempt in (1, 2):
        dresser.take_off(view, attempt=attempt)
    assert [form["seed"] for form in server.edits] == [[b"11"], [b"12"]]


def test_a_garment_is_put_on_by_two_pictures_and_the_result_has_the_clip_s_size(
    server: Server, view: View, garment: Garment
) -> None:
    server.edited = plain(0, 99, 0, size=(96, 64))
    worn = EndpointDresser(endpoint(server), seed=0).put_on(view, garment, attempt=1)
    assert worn.shape == (48, 32, 3)
    assert worn.mean(axis=(0, 1)).round().tolist() == [0, 99, 0]
    (form,) = server.edits
    person, cloth = (decoded(file).mean(axis=(0, 1)).tolist() for file in form["image[]"])
    assert person == [200, 0, 0]
    assert cloth == [0, 0, 200]
    assert b"lower garment" in form["prompt"][0]


def test_an_edit_that_is_no_picture_is_trouble(server: Server, view: View) -> None:
    with pytest.raises(ModelTrouble):
        EndpointDresser(endpoint(server), seed=0).take_off(view, attempt=1)


def test_a_server_that_is_busy_is_asked_again(server: Server, view: View) -> None:
    server.statuses = [503]
    EndpointInspector(endpoint(server, retries=1), seed=0).picture(view, plain(0, 0, 0))
    assert server.asked == 2


@pytest.mark.parametrize("statuses", [[500, 500], [400]])
def test_a_server_that_refuses_is_trouble(server: Server, view: View, statuses: list[int]) -> None:
    server.statuses = list(statuses)
    with pytest.raises(ModelTrouble):
        EndpointInspector(endpoint(server, retries=len(statuses) - 1), seed=0).picture(view, plain(0, 0, 0))
    assert server.asked == len(statuses)


def test_a_server_that_is_too_slow_is_trouble(server: Server, view: View) -> None:
    server.delay_s = 1.0
    with pytest.raises(ModelTrouble, match="timed out"):
        EndpointInspector(endpoint(server, timeout_s=0.05), seed=0).picture(view, plain(0, 0, 0))


def test_nobody_there_is_trouble(view: View) -> None:
    config = Endpoint(kind="endpoint", url="http://127.0.0.1:9/v1", model="m", retries=0)
    with pytest.raises(ModelTrouble, match="Connection error"):
        EndpointInspector(config, seed=0).picture(view, plain(0, 0, 0))


def test_no_more_requests_run_at_once_than_configured(server: Server, view: View) -> None:
    server.delay_s = 0.05
    inspector = EndpointInspector(endpoint(server, concurrency=2, timeout_s=60.0), seed=0)
    threads = [threading.Thread(target=inspector.picture, args=(view, plain(0, 0, 0))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert server.asked == 8
    assert server.most_at_once <= 2


def test_a_key_comes_from_the_environment_or_is_missed(
    server: Server, view: View, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = endpoint(server, key_env="SOME_KEY")
    with pytest.raises(ModelMissing, match="needs a key in SOME_KEY"):
        EndpointInspector.check(config)
    monkeypatch.setenv("SOME_KEY", "abc")
    EndpointInspector(config, seed=0).picture(view, plain(0, 0, 0))
    assert server.keys == ["Bearer abc"]
