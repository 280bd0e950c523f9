"""One trace for each session: its spans, whose child it is, what it does not tell, and that OTLP carries it."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections import Counter
from collections.abc import AsyncIterator, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import grpc
import pytest
from fashionchameleon.v1 import customization_service_pb2 as pb
from fashionchameleon.v1 import customization_service_pb2_grpc
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2, trace_service_pb2_grpc
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import StatusCode

from service.app import running
from service.engine.base import EngineError, EngineUnavailable
from service.engine.fake import FakeEngine
from service.tracing import SessionTracer, otlp_tracer
from tests.service.rpc.conftest import SETTINGS, Api, Reader, connected, create_request, interact, stream, switch
from tests.service.runtime.conftest import until
from tests.service.test_app import ENVIRONMENT, ROOT, program, ready

TRACE_ID, SPAN_ID = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
TRACEPARENT = f"00-{TRACE_ID}-{SPAN_ID}-01"


@pytest.fixture
def exporter() -> InMemorySpanExporter:
    return InMemorySpanExporter()


@pytest.fixture
def tracer(exporter: InMemorySpanExporter) -> SessionTracer:
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    return SessionTracer(provider)


@pytest.fixture
async def api(tracer: SessionTracer) -> AsyncIterator[Api]:
    engine = FakeEngine(blocks=4)
    async with running(SETTINGS, engine, tracer) as app, connected(app, engine) as api:
        yield api


def named(spans: Sequence[ReadableSpan], name: str) -> list[ReadableSpan]:
    return [span for span in spans if span.name == name]


async def finished(exporter: InMemorySpanExporter, sessions: int = 1) -> Sequence[ReadableSpan]:
    """All spans, once so many sessions' roots are among them."""
    await until(lambda: len(named(exporter.get_finished_spans(), "session")) == sessions)
    return exporter.get_finished_spans()


async def test_a_session_is_one_trace_with_a_span_for_each_chunk_and_stage(
    api: Api, exporter: InMemorySpanExporter
) -> None:
    name = await api.open(max_duration=3.0)
    chunks = len(await all_chunks(stream(api, name)))
    spans = await finished(exporter)
    assert len({span.context.trace_id for span in spans}) == 1
    (root,) = named(spans, "session")
    assert root.parent is None
    assert root.attributes["session.id"] == name.removeprefix("sessions/")
    assert root.attributes["chameleon.end_reason"] == "COMPLETED"
    for once in ("intake", "encode person", "encode garment", "text"):
        (span,) = named(spans, once)
        assert span.parent.span_id == root.context.span_id
    made = {span.context.span_id: span for span in named(spans, "chunk")}
    assert sorted(span.attributes["chameleon.chunk"] for span in made.values()) == list(range(chunks))
    assert all(span.parent.span_id == root.context.span_id for span in made.values())
    stages = Counter(
        (span.name, made[span.parent.span_id].attributes["chameleon.chunk"])
        for span in spans
        if span.parent is not None and span.parent.span_id in made
    )
    passes = len(api.engine.schedule.denoising_passes())
    for chunk in range(chunks):
        assert stages["pass", chunk] == passes
        assert stages["decode", chunk] == stages["media", chunk] == 1
    assert stages["prefill", 0] == 1
    assert all(stages["clean pass", chunk] == 1 for chunk in range(chunks - 1))


async def test_the_callers_trace_goes_on(api: Api, exporter: InMemorySpanExporter) -> None:
    created = await api.sessions.CreateSession(
        create_request(max_duration=1.0), metadata=(("traceparent", TRACEPARENT), ("tracestate", "shop=1"))
    )
    await stream(api, created.session.name).to_end()
    spans = await finished(exporter)
    (root,) = named(spans, "session")
    assert {f"{span.context.trace_id:032x}" for span in spans} == {TRACE_ID}
    assert f"{root.parent.span_id:016x}" == SPAN_ID
    assert root.context.trace_state["shop"] == "1"


async def test_sessions_of_two_calls_are_two_traces(api: Api, exporter: InMemorySpanExporter) -> None:
    for _ in range(2):
        await (await interact(api, create_request(max_duration=1.0))).to_end()
    roots = named(await finished(exporter, sessions=2), "session")
    assert len({root.context.trace_id for root in roots}) == 2


async def test_a_caller_who_does_not_sample_is_heard(api: Api, exporter: InMemorySpanExporter) -> None:
    created = await api.sessions.CreateSession(
        create_request(max_duration=1.0), metadata=(("traceparent", TRACEPARENT[:-2] + "00"),)
    )
    await stream(api, created.session.name).to_end()
    assert exporter.get_finished_spans() == ()


async def test_a_traceparent_that_is_none_begins_a_new_trace(api: Api, exporter: InMemorySpanExporter) -> None:
    created = await api.sessions.CreateSession(create_request(max_duration=1.0), metadata=(("traceparent", "00-zzz"),))
    await stream(api, created.session.name).to_end()
    (root,) = named(await finished(exporter), "session")
    assert root.parent is None


async def test_spans_lie_within_their_session_and_in_order(api: Api, exporter: InMemorySpanExporter) -> None:
    await (await interact(api, create_request(max_duration=3.0))).to_end()
    spans = await finished(exporter)
    (root,) = named(spans, "session")
    for span in spans:
        assert root.start_time <= span.start_time <= span.end_time
        assert span.end_time <= root.end_time
    begun = [span.start_time for span in sorted(named(spans, "chunk"), key=lambda s: s.attributes["chameleon.chunk"])]
    assert begun == sorted(begun)


async def test_a_switch_has_its_span_and_its_segments_prefill(api: Api, exporter: InMemorySpanExporter) -> None:
    garment = await api.add_garment(200)
    reader = await interact(api, create_request(max_duration=6.0, pacing=pb.PACING_MODE_REALTIME))
    await reader.until_chunks(1)
    await reader.call.write(pb.InteractRequest(switch_garment=switch("e", garment)))
    await reader.until("switch_applied")
    await reader.until_chunks(len(reader.chunks) + 1)
    await reader.call.write(pb.InteractRequest(stop=pb.Stop()))
    await reader.to_end()
    spans = await finished(exporter)
    (switched,) = named(spans, "switch")
    assert switched.end_time > switched.start_time
    assert len(named(spans, "prefill")) == 2
    assert len(named(spans, "encode reference")) == 1
    (root,) = named(spans, "session")
    assert root.attributes["chameleon.end_reason"] == "STOPPED"


async def test_a_switch_asked_for_in_another_trace_is_linked_to_it(api: Api, exporter: InMemorySpanExporter) -> None:
    reader = await interact(api, create_request(max_duration=600.0, pacing=pb.PACING_MODE_REALTIME))
    await reader.until_chunks(1)
    request = pb.SwitchGarmentRequest(
        name=reader.events[0].started.session.name, switch_garment=switch("e", await api.add_garment(200))
    )
    await api.sessions.SwitchGarment(request, metadata=(("traceparent", TRACEPARENT),))
    await reader.until("switch_applied")
    await reader.until_chunks(len(reader.chunks) + 1)
    await until(lambda: bool(named(exporter.get_finished_spans(), "switch")))
    (switched,) = named(exporter.get_finished_spans(), "switch")
    (link,) = switched.links
    assert f"{link.context.trace_id:032x}" == TRACE_ID
    assert f"{switched.context.trace_id:032x}" != TRACE_ID
    reader.call.cancel()


async def test_a_switch_that_never_takes_effect_is_an_error(api: Api, exporter: InMemorySpanExporter) -> None:
    garment = await api.add_garment(200)
    reader = await interact(api, create_request(max_duration=2.0))
    late = switch("late", garment)
    late.not_before.FromSeconds(1000)
    await reader.call.write(pb.InteractRequest(switch_garment=late))
    await reader.until("switch_accepted")
    await reader.to_end()
    (switched,) = named(await finished(exporter), "switch")
    assert (switched.status.status_code, switched.status.description) == (StatusCode.ERROR, "SESSION_ENDED")


async def test_a_step_that_the_engines_death_cut_short_is_an_error_and_the_session_is_none(
    api: Api, exporter: InMemorySpanExporter
) -> None:
    reader = await interact(api, create_request(max_duration=4.0, pacing=pb.PACING_MODE_REALTIME))
    await reader.until_chunks(1)
    api.engine.fail_next.append(EngineUnavailable("gone"))
    await reader.to_end()
    spans = await finished(exporter)
    failed = [span for span in spans if span.status.status_code is StatusCode.ERROR]
    assert [span.status.description for span in failed] == ["gone"]
    assert len(named(spans, failed[0].name)) > 1


async def test_a_refused_pass_and_the_session_it_cost_are_errors(api: Api, exporter: InMemorySpanExporter) -> None:
    reader = await interact(api, create_request(max_duration=600.0, pacing=pb.PACING_MODE_REALTIME))
    await reader.until_chunks(1)
    api.engine.fail_next.append(EngineError("out of cheese"))
    with pytest.raises(grpc.aio.AioRpcError):
        await reader.to_end()
    spans = await finished(exporter)
    (root,) = named(spans, "session")
    assert root.status.status_code is StatusCode.ERROR
    assert root.attributes["chameleon.end_reason"] == "LOST"
    failed = [span for span in spans if span.status.status_code is StatusCode.ERROR and span is not root]
    assert [span.status.description for span in failed] == ["out of cheese"]


async def test_no_prompt_is_told(api: Api, exporter: InMemorySpanExporter) -> None:
    await (await interact(api, create_request(max_duration=1.0, prompt="a secret wish"))).to_end()
    assert not [span for span in await finished(exporter) if "secret" in span.to_json()]


async def test_nothing_is_kept_of_a_session_that_is_over(
    api: Api, exporter: InMemorySpanExporter, tracer: SessionTracer
) -> None:
    await (await interact(api, create_request(max_duration=20.0))).to_end()
    await finished(exporter)
    assert tracer._traces == {}


def test_switched_off_as_it_is_by_default_opentelemetry_is_not_even_imported() -> None:
    code = (
        "import sys; from service.app import make_tracer; from service.config import Settings; "
        "assert make_tracer(Settings()) is None; assert 'opentelemetry' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], env=ENVIRONMENT, cwd=ROOT, check=True)


class Collector(trace_service_pb2_grpc.TraceServiceServicer):
    """What an OTLP/gRPC receiver has received."""

    def __init__(self) -> None:
        self.requests: list[trace_service_pb2.ExportTraceServiceRequest] = []

    def Export(self, request: trace_service_pb2.ExportTraceServiceRequest, context: object) -> object:  # noqa: N802
        self.requests.append(request)
        return trace_service_pb2.ExportTraceServiceResponse()

    def services(self) -> set[str]:
        return {
            attribute.value.string_value
            for request in self.requests
            for resource_spans in request.resource_spans
            for attribute in resource_spans.resource.attributes
            if attribute.key == "service.name"
        }

    def spans(self) -> Counter[str]:
        return Counter(
            span.name
            for request in self.requests
            for resource_spans in request.resource_spans
            for scope_spans in resource_spans.scope_spans
            for span in scope_spans.spans
            if span.trace_id.hex() == TRACE_ID
        )


@contextmanager
def receiver() -> Iterator[tuple[str, Collector]]:
    """An OTLP/gRPC receiver on loopback."""
    collector, server = Collector(), grpc.server(ThreadPoolExecutor(2))
    trace_service_pb2_grpc.add_TraceServiceServicer_to_server(collector, server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    try:
        yield f"http://127.0.0.1:{port}", collector
    finally:
        server.stop(0).wait()


async def traced_session(address: str) -> None:
    async with grpc.aio.insecure_channel(address) as channel:
        stub = customization_service_pb2_grpc.CustomizationServiceStub(channel)
        request = pb.InteractRequest(create=create_request(max_duration=2.0))
        await Reader(stub.Interact(iter([request]), metadata=(("traceparent", TRACEPARENT),))).to_end()


async def test_the_program_sends_its_traces_to_an_otlp_receiver_and_the_rest_when_it_stops() -> None:
    with receiver() as (endpoint, collector):
        async with program(CHAMELEON_TRACES="otlp", OTEL_EXPORTER_OTLP_ENDPOINT=endpoint) as process:
            await traced_session(await ready(process))
            process.terminate()
            await process.communicate()
            assert process.returncode == 0
    told = collector.spans()
    assert told["session"] == told["intake"] == told["prefill"] == 1
    assert told["chunk"] == told["media"] == told["decode"] > 1
    assert told["pass"] == 4 * told["chunk"]
    assert collector.services() == {"fashionchameleon"}


async def test_a_collector_that_is_away_costs_no_session_and_delays_the_end_little() -> None:
    nobody = "http://127.0.0.1:1"
    async with program(CHAMELEON_TRACES="otlp", OTEL_EXPORTER_OTLP_ENDPOINT=nobody) as process:
        await traced_session(await ready(process))
        process.terminate()
        async with asyncio.timeout(20):
            await process.communicate()
        assert process.returncode == 0


@pytest.mark.parametrize("wrong", [("OTEL_EXPORTER_OTLP_TIMEOUT", "soon"), ("OTEL_EXPORTER_OTLP_COMPRESSION", "rar")])
def test_a_wrong_variable_of_opentelemetrys_is_told(wrong: tuple[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(*wrong)
    with pytest.raises(RuntimeError, match="OTEL_"):
        otlp_tracer()


async def all_chunks(reader: Reader) -> list[object]:
    await reader.to_end()
    return list(reader.chunks)
