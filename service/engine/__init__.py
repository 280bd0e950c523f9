"""How passes reach a network: one protocol (`base`), a deterministic fake that ships (`fake`), the real one (`triton`)."""
