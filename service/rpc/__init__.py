"""The API over gRPC: requests are read in `intake` under `limits`, answers made in `convert`, errors in `status`."""
