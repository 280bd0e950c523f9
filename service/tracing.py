"""One OpenTelemetry trace for each session, sent by OTLP. Imported only where traces are switched on.

    session                        from its request until its end; child of the caller's span, if one came with the call
      intake                       the request's pictures and prompt are read and checked
      encode person, encode garment, text, encode reference
      switch                       from a switch's request until the first chunk that shows it was written, or until
                                   it is refused; linked to the caller's span if that is of another trace
      chunk                        from its first stage until it was written to a stream
        prefill, pass (several), clean pass, decode, media

A chunk's clean pass prepares the next chunk and may outlast its own. No picture, prompt or token is told.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.grpc.exporter import InvalidCompressionValueException
from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import SERVICE_NAME, Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace import Link, Span, SpanKind, Status, StatusCode, get_current_span, set_span_in_context
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from service.runtime.tracer import caller

CLOSE_S = 5.0
"""How long a collector that does not answer may hold up the end."""
_NAMES = {"denoise": "pass", "commit": "clean pass"}
_CHUNKS_KEPT = 8
"""Chunk spans that late stages may still join: more than are ever unsent at once."""


@dataclass(slots=True, kw_only=True)
class _Chunk:
    span: Span
    context: Context


@dataclass(slots=True, kw_only=True)
class _Trace:
    root: Span
    context: Context
    unix_ns: int
    """Unix time at the clock's zero."""
    chunks: dict[int, _Chunk] = field(default_factory=dict)
    switches: dict[str, Span] = field(default_factory=dict)

    def at(self, seconds: float) -> int:
        return self.unix_ns + round(seconds * 1e9)


class SessionTracer:
    """Implements `service.runtime.tracer.Tracer`. A session that the sampler leaves out costs nothing further.

    Args:
        provider: shut down by `close`.
        clock: the orchestrator's.
    """

    def __init__(self, provider: TracerProvider, clock: Callable[[], float] = time.monotonic) -> None:
        self._provider = provider
        self._tracer = provider.get_tracer("fashionchameleon")
        self._clock = clock
        self._traces: dict[str, _Trace] = {}

    def opened(self, session_id: str, asked_s: float, now: float, **attributes: str) -> None:
        unix_ns = time.time_ns() - round(self._clock() * 1e9)
        parent = _callers_context()
        root = self._tracer.start_span(
            "session",
            context=parent,
            kind=SpanKind.SERVER,
            start_time=unix_ns + round(asked_s * 1e9),
            attributes={"session.id": session_id} | {f"chameleon.{name}": text for name, text in attributes.items()},
        )
        if root.is_recording():
            self._traces[session_id] = _Trace(root=root, context=set_span_in_context(root, parent), unix_ns=unix_ns)
            self.stage(session_id, "intake", asked_s, now)

    def stage(
        self, session_id: str, stage: str, began_s: float, ended_s: float, sequence: int | None = None, error: str = ""
    ) -> None:
        if (trace := self._traces.get(session_id)) is None:
            return
        context = trace.context if sequence is None else self._chunk(trace, sequence, began_s).context
        span = self._tracer.start_span(_NAMES.get(stage, stage), context=context, start_time=trace.at(began_s))
        if error:
            span.set_status(Status(StatusCode.ERROR, error))
        span.end(trace.at(ended_s))

    def switch_asked(self, session_id: str, event_id: str, now: float) -> None:
        if (trace := self._traces.get(session_id)) is None:
            return
        asking = get_current_span(_callers_context()).get_span_context()
        elsewhere = asking.is_valid and asking.trace_id != trace.root.get_span_context().trace_id
        trace.switches[event_id] = self._tracer.start_span(
            "switch",
            context=trace.context,
            start_time=trace.at(now),
            links=[Link(asking)] if elsewhere else [],
        )

    def switch_done(self, session_id: str, event_id: str, now: float, error: str = "") -> None:
        if (trace := self._traces.get(session_id)) is None or (span := trace.switches.pop(event_id, None)) is None:
            return
        if error:
            span.set_status(Status(StatusCode.ERROR, error))
        span.end(trace.at(now))

    def sent(self, session_id: str, sequence: int, now: float) -> None:
        if (trace := self._traces.get(session_id)) is not None and (chunk := trace.chunks.get(sequence)) is not None:
            _end(chunk.span, trace.at(now))

    def ended(self, session_id: str, reason: str, now: float) -> None:
        if (trace := self._traces.pop(session_id, None)) is None:
            return
        for span in (*(chunk.span for chunk in trace.chunks.values()), *trace.switches.values()):
            _end(span, trace.at(now))
        trace.root.set_attribute("chameleon.end_reason", reason)
        if reason == "LOST":
            trace.root.set_status(Status(StatusCode.ERROR, "the session was lost"))
        trace.root.end(trace.at(now))

    def close(self) -> None:
        # The SDK itself would wait for half a minute.
        closing = threading.Thread(target=self._provider.shutdown, name="traces", daemon=True)
        closing.start()
        closing.join(CLOSE_S)

    def _chunk(self, trace: _Trace, sequence: int, began_s: float) -> _Chunk:
        """The chunk's span; begun if this is its first stage."""
        if sequence not in trace.chunks:
            span = self._tracer.start_span(
                "chunk",
                context=trace.context,
                start_time=trace.at(began_s),
                attributes={"chameleon.chunk": sequence},
            )
            trace.chunks[sequence] = _Chunk(span=span, context=set_span_in_context(span, trace.context))
            if len(trace.chunks) > _CHUNKS_KEPT:
                _end(trace.chunks.pop(next(iter(trace.chunks))).span, trace.at(began_s))
        return trace.chunks[sequence]


def otlp_tracer() -> SessionTracer:
    """Sends to `OTEL_EXPORTER_OTLP_ENDPOINT`; sampler, headers and resource follow OpenTelemetry's variables too.

    Raises:
        RuntimeError: one of these variables is wrong.
    """
    try:
        provider = TracerProvider(resource=Resource.create(_default_name()), shutdown_on_exit=False)
        provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    except (ValueError, InvalidCompressionValueException) as error:
        raise RuntimeError(f"a variable OTEL_* is wrong: {error}") from error
    return SessionTracer(provider)


def _default_name() -> dict[str, str]:
    """What OTEL_SERVICE_NAME or OTEL_RESOURCE_ATTRIBUTES name is left alone: given here, it would win over them."""
    unnamed = str(Resource.create().attributes[SERVICE_NAME]).startswith("unknown_service")
    return {SERVICE_NAME: "fashionchameleon"} if unnamed else {}


def _callers_context() -> Context:
    """Of the call being served: empty if it came without a trace."""
    return TraceContextTextMapPropagator().extract(caller.get() or {}, context=Context())


def _end(span: Span, unix_ns: int) -> None:
    if span.is_recording():
        span.end(unix_ns)
