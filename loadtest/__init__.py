"""Black-box load harness: it knows the public API, by the client distribution and the stubs, and nothing else of ours.

Begin with `scenario.py` (what is asked for), then `session.py` (one session, driven), `record.py` (what was seen) and
`measures.py` (what that means). `python -m loadtest --help` lists the commands.
"""
