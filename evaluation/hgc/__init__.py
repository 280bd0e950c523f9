"""HGC-Bench, the paper's benchmark: its samples, and adapters for its metrics, each with the model that it needs."""
