"""ONNX to TensorRT: optimisation profiles, precision, builds, accuracy, and the check that needs no GPU.

`make` is the way from a student to a folder of engines; `check` parses and builds every graph on a laptop.
"""
