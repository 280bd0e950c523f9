"""Chunks of one session on the decoder, and the passes before them."""

from contract.schedule import DenoisingSchedule
from service.core.decoding import Chunk, Decoding
from service.core.ended import KEPT, EndedSessions
from service.core.events import Cursor, Pacing, SessionConfig, SessionView, State, Timings
from service.core.pacing import Playout
from service.core.passes import Passes, Phase
from service.engine.fake import FAKE_GEOMETRY


def make_decoding() -> Decoding:
    playout = Playout(pacing=Pacing.UNPACED, opened_s=0.0, chunk_s=1.0)
    return Decoding(session_id="s", block=0, playout=playout, fps=12)


def chunk(sequence: int, *, restarts: bool = False) -> Chunk:
    return Chunk(
        sequence=sequence,
        cursor=Cursor(segment=0, chunk=sequence),
        began_s=0.5,
        first_frame=12 * sequence,
        frame_count=12,
        garment="g",
        degradation=sequence,
        restarts_decoder=restarts,
        applied=None,
        timings=Timings(queue=0.5),
    )


def test_each_decode_reads_the_bank_that_the_one_before_wrote_and_a_restart_reads_none() -> None:
    decoding, banks = make_decoding(), []
    for sequence in range(5):
        decoding.push(chunk(sequence, restarts=sequence in (0, 3)), 0.0)
        step = decoding.step(sequence)
        assert decoding.step(sequence) == step, "a lost call is made again as it was"
        banks.append((step.read_bank, step.write_bank))
        decoding.done(step, seconds=0.0, queued=0.0, now=0.0)
    assert banks == [(None, 0), (0, 1), (1, 0), (None, 1), (1, 0)]


def test_a_chunk_behind_another_takes_the_time_since_that_one_was_decoded() -> None:
    decoding, took = make_decoding(), []
    for sequence in range(2):
        decoding.push(chunk(sequence), 1.0)
    for sequence, now in enumerate((2.0, 2.5)):
        info, _ = decoding.done(decoding.step(0), seconds=0.25, queued=0.125, now=now)
        took.append((decoding.took_s, decoding.latency_s))
        assert (info.timings.decode, info.timings.queue, info.degradation) == (0.25, 0.625, sequence)
    assert took == [(1.0, 1.5), (0.5, 2.0)]


def test_staged_slots_move_with_the_first_pass_of_a_chunk_only() -> None:
    passes, moves = Passes(FAKE_GEOMETRY, DenoisingSchedule()), []
    passes.prefilled()
    while len(moves) < 2:
        passes.begin_chunk(left_out=0)
        chunk_moves = []
        for _ in DenoisingSchedule().steps:
            chunk_moves.append(bool(passes.work(Phase.DENOISE).plan.moves))
            passes.denoised()
        passes.committed()
        if any(chunk_moves):
            moves.append(chunk_moves)
    assert moves == [[True, False, False, False]] * 2


def test_the_newest_sessions_that_ended_are_known() -> None:
    ended = EndedSessions()
    config = SessionConfig(tenant="t", garment="g", prompt="p", seed=1)
    for number in range(KEPT + 2):
        view = SessionView(
            id=str(number), state=State.ENDED, config=config, created_s=0.0, garment="g", prompt="p", width=1, height=1,
            frames_per_second=1, generated_s=0.0, next=Cursor(segment=0, chunk=0), end_reason=None,
        )  # fmt: skip
        ended.add(view, 0.0)
    assert [view.id for view in ended.views()] == [str(number) for number in range(2, KEPT + 2)]
