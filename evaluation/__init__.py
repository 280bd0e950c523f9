"""Evaluation: what the student does on cases it never saw, measured against the drawn world's ground truth."""
