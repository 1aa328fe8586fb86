// ONNX Runtime's binding for Node.js: one session a form, asked again and again.

"use strict";

const { FormAdapter } = require("crosscheck/probe/node/onnx_forms");

class ONNXRuntimeNode extends FormAdapter {
  static inferenceForm = "opset-9";

  /** Import the runtime; sessions, and the threads they start, come later. */
  load() {
    this.ort = require("onnxruntime-node");
  }

  session(path) {
    const options = { executionProviders: ["cpu"], intraOpNumThreads: 1, interOpNumThreads: 1, logSeverityLevel: 3 };
    return this.ort.InferenceSession.create(path, options);
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

module.exports = ONNXRuntimeNode;
