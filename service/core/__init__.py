"""Pure: the session machine, step scheduling, admission, errors. No asyncio, no gRPC, no clock: time is an argument."""
