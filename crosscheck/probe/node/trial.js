// Runs one trial in this process and leaves its observation in a folder: crosscheck/probe/trial.py for Node.
//
// node trial.js ADAPTER REQUEST: the file that exports the adapter's class, and a request with the adapter's modes, as
// JSON.

"use strict";

const fs = require("fs");
const path = require("path");

const { readArrays } = require("./arrays");
const { NotInRelease } = require("./adapter");
const { Recorder, StepFailed, message } = require("./recorder");
const { STEPS, Trial } = require("./scenarios");

/** The network in `folder`; its scratch folder is the trial's. */
function loadNetwork(folder, scratch) {
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
  };
}

/** How the trial ended. Its absence means that the process died. */
function writeEnd(out, end) {
  fs.writeFileSync(path.join(out, "end.json"), JSON.stringify(end));
}

/** The status and reason of a failed step. */
function failed({ label, problem }, asked) {
  const reason = `${label}: ${message(problem)}`;
  // V8's words for memory that it did not get.
  if (problem instanceof RangeError && /allocat|memory/i.test(problem.message)) {
    return { status: "out-of-memory", reason };
  }
  if (!asked && problem instanceof NotInRelease) return { status: "not-in-release", reason: problem.message };
  return { status: asked ? "ok" : "refused", reason };
}

async function run(adapter, request) {
  const { out, network: folder } = request;
  const readout = path.join(folder, "readout");
  const trial = new Trial({
    adapter,
    recorder: new Recorder(out),
    modes: request.modes,
    mode: request.modes.find(({ name }) => name === request.mode),
    network: loadNetwork(folder, out),
    inputs: readArrays(path.join(folder, "inputs.npz")),
    readout: fs.existsSync(readout) ? loadNetwork(readout, out) : null,
  });
  const start = performance.now();
  const cpu = process.cpuUsage();
  let end = { status: "ok", reason: null };
  try {
    await STEPS[`${request.scenario}/${request.reading}`](trial);
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
    adapter = new Adapter(request.modes);
    await adapter.load();
  } catch (problem) {
    writeEnd(request.out, { status: "import-failed", reason: message(problem) });
    return;
  }
  await run(adapter, request);
}

main(process.argv[2], JSON.parse(process.argv[3])).then(
  () => process.reallyExit(0), // exit handlers of a runtime are not what is measured
  (problem) => {
    fs.writeSync(2, `${(problem && problem.stack) || problem}\n`);
    process.reallyExit(70);
  },
);
