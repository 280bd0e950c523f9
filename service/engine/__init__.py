"""How passes reach a network: `base` is the protocol, `fake` is deterministic and ships, `triton` is the real one."""
