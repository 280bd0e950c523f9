"""Rules, alerts and a dashboard over the service's metrics and Triton's, made from the objectives."""
