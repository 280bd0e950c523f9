"""A try-on with a switch, without asyncio. Usage: try_on.py PERSON GARMENT OTHER_GARMENT OUT.mp4 [ADDRESS]"""

import sys
from pathlib import Path

from chameleon import Chameleon, Pacing


def main(person: Path, garment: Path, other: Path, out: Path, address: str = "127.0.0.1:50051") -> None:
    with Chameleon(address) as chameleon:
        coat = chameleon.create_garment(other)  # uploaded ahead: the switch itself costs no encoding
        session = chameleon.open_session(
            person=person,
            garment=garment,
            prompt="The person turns slowly.",
            pacing=Pacing.UNPACED,
            max_duration_s=8.0,
        )
        with session as video, out.open("wb") as file:
            for chunk in video:
                file.write(chunk.data)
                if chunk.sequence == 1:
                    video.switch(coat)
                for switch in chunk.applied:
                    print(f"{chunk.garment} from frame {switch.first_frame}")
    assert video.ended is not None
    print(f"{out}: {video.ended.generated_s:.1f} s, {video.ended.reason.name.lower()}")


if __name__ == "__main__":
    if len(sys.argv) not in (5, 6):
        sys.exit(__doc__)
    main(*map(Path, sys.argv[1:5]), *sys.argv[5:6])
