"""Training: the drawn world's data, and what trains the student on it."""
