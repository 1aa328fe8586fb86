"""ONNX Runtime for Node.js, on the CPU: a mode is the form in which the network's file is written."""

from crosscheck.runtimes.family import onnxruntime_js

READER = onnxruntime_js.reader('"$file"')

MODES = READER.modes(onnxruntime_js.FORMS, onnxruntime_js.DEFAULT)
