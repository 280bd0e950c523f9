"""Ground-truth metrics, in NumPy: generated frames against drawings of what they should show.

Every one is validated on real and on corrupted drawings (`python -m evaluation validate`).
"""
