// Runs one trial in this process and leaves its observation in a folder: crosscheck/probe/trial.py for Node.
//
// node trial.js ADAPTER REQUEST: the file that exports the adapter's class, and the request, a JSON file.

"use strict";

const fs = require("fs");
const path = require("path");

const { readArrays } = require("./arrays");
const { Recorder, StepFailed, message, onMachine } = require("./recorder");
const { Trial } = require("./steps");

/** The network in `folder`, with the program and the trial's own folder for files. */
function loadNetwork(folder, { sources, texts }, scratch) {
  const onnx = {};
  for (const name of fs.readdirSync(folder)) {
    if (name.endsWith(".onnx")) onnx[name.slice(0, -".onnx".length)] = path.join(folder, name);
  }
  return {
    graph: JSON.parse(fs.readFileSync(path.join(folder, "graph.json"), "utf8")),
    weights: readArrays(path.join(folder, "weights.npz")),
    onnx,
    batch: readArrays(path.join(folder, "inputs.npz")).x.shape[0],
    scratch,
    sources,
    texts,
  };
}

/** How the trial ended. Its absence means that the process died. */
function writeEnd(out, end) {
  onMachine(() => fs.writeFileSync(path.join(out, "end.json"), JSON.stringify(end)));
}

/** The status and reason of a failed step. */
function failed({ label, problem }, asked) {
  const reason = `${label}: ${message(problem)}`;
  // V8's words for memory that it did not get.
  if (problem instanceof RangeError && /allocat|memory/i.test(problem.message)) {
    return { status: "out-of-memory", reason };
  }
  return { status: asked ? "ok" : "refused", reason };
}

async function run(adapter, request) {
  const { out, network: folder, modes, steps, program } = request;
  const networks = { network: loadNetwork(folder, program, out) };
  const readout = path.join(folder, "readout");
  if (fs.existsSync(readout)) networks.readout = loadNetwork(readout, program, out);
  const inputs = readArrays(path.join(folder, "inputs.npz"));
  const trial = new Trial({ adapter, recorder: new Recorder(out), modes, networks, inputs });
  const start = performance.now();
  const cpu = process.cpuUsage();
  let end = { status: "ok", reason: null };
  try {
    await trial.run(steps);
  } catch (failure) {
    if (!(failure instanceof StepFailed)) throw failure;
    end = failed(failure, trial.asked);
  }
  const { user, system } = process.cpuUsage(cpu);
  writeEnd(out, { ...end, seconds: (performance.now() - start) / 1000, cpu_seconds: (user + system) / 1e6 });
}

async function main(script, request) {
  let adapter;
  try {
    const Adapter = require(script);
    adapter = new Adapter();
    await adapter.load(request.program);
  } catch (problem) {
    writeEnd(request.out, { status: "import-failed", reason: message(problem) });
    return;
  }
  await run(adapter, request);
}

main(process.argv[2], JSON.parse(fs.readFileSync(process.argv[3], "utf8"))).then(
  () => process.reallyExit(0), // exit handlers of a runtime are not what is measured
  (problem) => {
    fs.writeSync(2, `${(problem && problem.stack) || problem}\n`);
    process.reallyExit(70);
  },
);
