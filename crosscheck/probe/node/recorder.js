// Writes an observation as it happens, so that a crash keeps what came before it: crosscheck/probe/recorder.py for Node.

"use strict";

const crypto = require("crypto");
const fs = require("fs");
const path = require("path");

const { bytesOf } = require("./arrays");

const MESSAGE_LIMIT = 4000; // characters of a runtime's message that are kept
/** Errors of the machine, and the exit code of a trial that it kept from recording, as in recorder.py. */
const LACKING = new Set(["ENOSPC", "EDQUOT", "EMFILE", "ENFILE", "ENOMEM", "EAGAIN", "EIO"]);
const EXIT_LACKING = 75;

/** A step raised; `problem` is the runtime's own exception. */
class StepFailed extends Error {
  constructor(label, problem) {
    super(label);
    this.label = label;
    this.problem = problem;
  }
}

/** The observation of one trial, in `folder`: `steps.jsonl`, `keys.jsonl` and `arrays.bin`. */
class Recorder {
  constructor(folder) {
    const open = (name) => onMachine(() => fs.openSync(path.join(folder, name), "w"));
    this.steps = open("steps.jsonl");
    this.keys = open("keys.jsonl");
    this.arrays = open("arrays.bin");
    this.offsets = new Map();
    this.end = 0;
  }

  /** Run `action`, record how long it took (seconds) and how it ended. Throws StepFailed when the action throws. */
  async step(label, action) {
    line(this.steps, { label, begun: true });
    const start = performance.now();
    const seconds = () => (performance.now() - start) / 1000;
    try {
      const result = await action();
      line(this.steps, { label, seconds: seconds() });
      return result;
    } catch (problem) {
      line(this.steps, { label, seconds: seconds(), error: message(problem) });
      throw new StepFailed(label, problem);
    }
  }

  /** Record the runtime's global mode flags under `label`. */
  flags(label, flags) {
    line(this.steps, { label, seconds: 0, flags });
  }

  /** Record one array; its dtype and shape are kept. Arrays with equal bytes are written once. */
  array(key, value) {
    const data = bytesOf(value);
    const digest = crypto.createHash("sha256").update(data).digest("latin1");
    if (!this.offsets.has(digest)) {
      onMachine(() => fs.writeFileSync(this.arrays, data));
      this.offsets.set(digest, this.end);
      this.end += data.length;
    }
    line(this.keys, [key, value.dtype, value.shape, this.offsets.get(digest)]);
  }
}

function line(file, value) {
  // All of it, which writeSync does not promise.
  onMachine(() => fs.writeFileSync(file, JSON.stringify(value) + "\n"));
}

/** Do `action`; end the process where the machine does not let it: nothing of that is the runtime's. */
function onMachine(action) {
  try {
    return action();
  } catch (problem) {
    if (LACKING.has(problem.code)) process.reallyExit(EXIT_LACKING);
    throw problem;
  }
}

/** An exception as one text, cut to what a report can show. */
function message(problem) {
  const text = problem instanceof Error ? `${problem.name}: ${problem.message}` : String(problem);
  return text.slice(0, MESSAGE_LIMIT);
}

module.exports = { Recorder, StepFailed, message, onMachine };
