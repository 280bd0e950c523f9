"""PyTorch to ONNX, parity between the two, and the writer of `model_repository/`. Start with `__main__`."""
