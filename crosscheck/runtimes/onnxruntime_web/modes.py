"""ONNX Runtime Web, its WebAssembly backend on Node.js: a mode is the form in which the network's file is written."""

from crosscheck.runtimes.family import onnxruntime_js

READER = onnxruntime_js.reader('fs.readFileSync("$file")')

MODES = READER.modes(onnxruntime_js.FORMS, onnxruntime_js.DEFAULT)
