"""Drivers: what plays a script. The reference rollout and a running service give the same frames within tolerance."""
