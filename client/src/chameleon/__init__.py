"""FashionChameleon's Python SDK: live garment try-on video over gRPC.

    with Chameleon("127.0.0.1:50051") as chameleon:
        with chameleon.open_session(person=Path("me.jpg"), garment=Path("coat.png"), prompt="She turns.") as session:
            for chunk in session:
                file.write(chunk.data)

`AsyncChameleon` is the same for asyncio.
"""

from chameleon import errors
from chameleon.client import AsyncChameleon
from chameleon.errors import ChameleonError
from chameleon.retry import RetryPolicy
from chameleon.session import AsyncSession, AsyncSwitch
from chameleon.sync import Chameleon, Session, Switch
from chameleon.types import (
    Capacity,
    Chunk,
    ChunkTimings,
    Cursor,
    Ended,
    EndReason,
    Frame,
    Garment,
    GarmentSource,
    GarmentState,
    MediaFormat,
    Pacing,
    PictureSource,
    Policy,
    SessionInfo,
    SessionState,
    SwitchAccepted,
    SwitchApplied,
)

__version__ = "0.1.0"

__all__ = [
    "AsyncChameleon",
    "AsyncSession",
    "AsyncSwitch",
    "Capacity",
    "Chameleon",
    "ChameleonError",
    "Chunk",
    "ChunkTimings",
    "Cursor",
    "EndReason",
    "Ended",
    "Frame",
    "Garment",
    "GarmentSource",
    "GarmentState",
    "MediaFormat",
    "Pacing",
    "PictureSource",
    "Policy",
    "RetryPolicy",
    "Session",
    "SessionInfo",
    "SessionState",
    "Switch",
    "SwitchAccepted",
    "SwitchApplied",
    "errors",
]
