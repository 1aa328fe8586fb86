"""ONNX models: read and check them, bound their memory, infer sizes, fold constants, evaluate.

Knows no network: what it takes and gives are `onnx.ModelProto`s.
"""
