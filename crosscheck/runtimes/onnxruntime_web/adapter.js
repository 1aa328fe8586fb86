// ONNX Runtime Web on Node.js: WebAssembly in this thread, one session a form, asked again and again.

"use strict";

const fs = require("fs");

const { FormAdapter } = require("crosscheck/probe/node/onnx_forms");

class ONNXRuntimeWeb extends FormAdapter {
  static inferenceForm = "opset-9";

  /** Import the runtime; WebAssembly is compiled later, for the first session. */
  load() {
    // Releases before 1.14 would fetch their .wasm file, by a path, since Node has `fetch`; without one they read it.
    // `node --no-experimental-fetch` does the same: https://github.com/microsoft/onnxruntime/issues/17274
    delete globalThis.fetch;
    this.ort = require("onnxruntime-web");
    this.ort.env.wasm.numThreads = 1;
  }

  session(path) {
    const options = { executionProviders: ["wasm"], logSeverityLevel: 3 };
    return this.ort.InferenceSession.create(fs.readFileSync(path), options);
  }

  async run(session, feeds) {
    const outputs = await session.run(feeds);
    return session.outputNames.map((name) => outputs[name]);
  }

  tensor({ shape, data }) {
    return new this.ort.Tensor("float32", data.slice(), shape);
  }

  array({ dims, data }) {
    return { dtype: "<f4", shape: [...dims], data: data.slice() };
  }
}

module.exports = ONNXRuntimeWeb;
