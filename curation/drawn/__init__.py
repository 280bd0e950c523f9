"""Simulation for tests: films of the drawn world, and roles that answer from its truth instead of from a model.

Nothing here judges a real video. It lets the whole pipeline run without weights, and shows that what is bad is
discarded, for the right reason.
"""
