"""`make demo`: the whole service on this machine, from two pictures to a video with a garment switch in it."""
