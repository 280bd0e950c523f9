"""Two sessions at once with asyncio, frame by frame. Usage: live.py PERSON GARMENT OTHER_GARMENT [ADDRESS]"""

import asyncio
import sys
from pathlib import Path

from chameleon import AsyncChameleon, MediaFormat
from chameleon.errors import CapacityReached


async def watch(chameleon: AsyncChameleon, person: Path, garment: Path) -> str:
    """Receive three seconds of JPEG frames at playing speed, as a web page's relay would."""
    session = chameleon.open_session(
        person=person,
        garment=garment,
        prompt="The person waves.",
        format=MediaFormat.JPEG,
        max_duration_s=3.0,
    )
    async with session as video:
        sizes = [len(frame.data) async for frame in video.frames()]
        return f"{garment.name}: {len(sizes)} frames, {sum(sizes) // len(sizes)} bytes each"


async def main(person: Path, *garments: Path, address: str) -> None:
    async with AsyncChameleon(address) as chameleon:
        try:
            for line in await asyncio.gather(*(watch(chameleon, person, garment) for garment in garments)):
                print(line)
        except CapacityReached as full:
            sys.exit(f"the service is full; try again in {full.retry_after_s} s")


if __name__ == "__main__":
    if len(sys.argv) not in (4, 5):
        sys.exit(__doc__)
    asyncio.run(main(*map(Path, sys.argv[1:4]), address=next(iter(sys.argv[4:]), "127.0.0.1:50051")))
