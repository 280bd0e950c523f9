"""Pictures in, video out: `picture.py` takes in what callers upload, `video.py` encodes the frames they get back.

Everything here is synchronous and costs CPU time; the service runs it on threads, never on its event loop.
"""
