"""ONNX models as networks, and what their host nodes compute."""
