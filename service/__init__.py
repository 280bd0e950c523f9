"""The orchestrator: an asyncio gRPC service that holds every session's state and drives the engine step by step.

Read `core/` for what happens (pure), `runtime/` for who does it, `engine/` for how passes reach Triton, `rpc/` for the
API, and `app.py` for how it all comes together.
"""
