// The scenarios, step by step, with the labels and keys of crosscheck/probe/scenarios.py, which says what they mean.
// Every verb is awaited.

"use strict";

const fs = require("fs");
const path = require("path");

const { bytesOf, row } = require("./arrays");

const ASCENT_STEPS = 20;

/** One trial's adapter, recorder and inputs: the words in which the scenarios are written. */
class Trial {
  constructor({ adapter, recorder, modes, mode, network, inputs, readout }) {
    Object.assign(this, { adapter, recorder, modes, mode, network, inputs, readout });
    this.asked = false; // the call under test has come back once: a refusal after that is a finding
  }

  /** A model of `network` (the trial's own, if not said) for `mode` (likewise). */
  build(key = "model", { shares = null, network = this.network, mode = this.mode.name } = {}) {
    return this.recorder.step(`build/${key}`, () => this.adapter.build(network, mode, shares));
  }

  /** Predict the probe input. */
  async predict(model, key) {
    this.recorder.array(`prediction/${key}`, await this.predicted(model, this.inputs.x, `predict/${key}`));
  }

  /** Predict all held-out images in one batch and record the classes. */
  async classify(model, key) {
    const logits = await this.predicted(model, this.inputs.images, `classify/${key}`);
    this.recorder.array(`classes/${key}`, classes(logits));
  }

  predicted(model, x, label) {
    return this.recorder.step(label, async () =>
      this.adapter.array(await this.adapter.predict(model, await this.adapter.tensor(x))),
    );
  }

  /** Carry out a mode (the trial's own, if not said) and, with `read`, record what came back. */
  async ask(model, key, options = {}) {
    const { mode = this.mode, x = this.inputs.x, cotangent = this.inputs.cotangent } = options;
    const { read = true, between = async () => {} } = options;
    const adapter = this.adapter;
    const given = await adapter.tensor(x);
    this.recorder.flags(`flags/before-${key}`, adapter.flags());
    const asksGradient = mode.asks === "gradient";
    const seed = asksGradient ? await adapter.tensor(cotangent) : null;
    const label = `${asksGradient ? "gradient" : "forward"}/${key}`;
    const value = await this.recorder.step(label, async () => {
      const answer = asksGradient
        ? await adapter.gradient(model, given, seed, mode.name, between)
        : await adapter.forward(model, given, mode.name);
      return read ? adapter.array(answer) : answer;
    });
    if (mode === this.mode) this.asked = true;
    this.recorder.flags(`flags/after-${key}`, adapter.flags());
    if (read) {
      this.recorder.array(label, value);
      await this.checkInput(given, x, key);
    }
    return value;
  }

  /** Read what `ask` brought back unread. */
  async read(value, key) {
    const kind = this.mode.asks === "gradient" ? "gradient" : "forward";
    const numbers = await this.recorder.step(`read/${key}`, () => this.adapter.array(value));
    this.recorder.array(`${kind}/${key}`, numbers);
  }

  /** Record every persistent tensor, and what the runtime's public parameter view shows. */
  snapshot(model, key) {
    return this.recorder.step(`state/${key}`, async () => {
      for (const [kind, view] of [["state", this.adapter.state], ["parameters", this.adapter.parameters]]) {
        const tensors = await view.call(this.adapter, model);
        for (const name of Object.keys(tensors).sort()) {
          this.recorder.array(`${kind}/${key}/${name}`, await this.adapter.array(tensors[name]));
        }
      }
    });
  }

  /** Wait for all asynchronous work. */
  settle(model, key) {
    return this.recorder.step(`settle/${key}`, () => this.adapter.settle(model));
  }

  async checkInput(given, x, key) {
    const now = await this.adapter.array(given);
    if (!bytesOf(now).equals(bytesOf(x))) this.recorder.array(`input/${key}`, now);
  }

  /** The adapter's mode of that name. */
  named(name) {
    return this.modes.find((mode) => mode.name === name);
  }
}

/** The index of each row's largest entry; as with numpy, the first of several, and NaN is the largest of all. */
function classes({ shape, data }) {
  const [rows, columns] = shape;
  const found = new Uint8Array(rows);
  for (let index = 0; index < rows; index++) {
    const logits = data.subarray(index * columns, (index + 1) * columns);
    const nan = logits.findIndex(Number.isNaN);
    found[index] = nan >= 0 ? nan : logits.indexOf(logits.reduce((most, value) => (value > most ? value : most)));
  }
  return { dtype: "|u1", shape: [rows], data: found };
}

/** Map the smallest entry to 0 and the largest to 1; a constant array becomes zero. Each operation rounds to float32. */
function rescale(image) {
  const low = image.data.reduce((least, value) => (value < least ? value : least));
  const high = image.data.reduce((most, value) => (value > most ? value : most));
  const flat = !(high > low) || image.data.some(Number.isNaN);
  const range = Math.fround(high - low);
  return { ...image, data: image.data.map((value) => (flat ? 0 : Math.fround(value - low) / range)) };
}

async function undisturbed(trial) {
  const model = await trial.build();
  await trial.predict(model, "before");
  await trial.predict(model, "before-again");
  await trial.ask(model, "first");
  await trial.predict(model, "after");
  await trial.predict(model, "after-again");
  await trial.settle(model, "after");
  await trial.snapshot(model, "after");
  await trial.ask(model, "second");
  const inference = trial.named(trial.mode.inference);
  if (inference !== undefined) {
    await trial.snapshot(model, "before-inference");
    await trial.ask(model, "inference", { mode: inference });
  }
  await trial.predict(model, "last");
  await trial.snapshot(model, "last");
}

async function timed(trial) {
  const model = await trial.build();
  await trial.snapshot(model, "built");
  await trial.predict(model, "before");
  await trial.snapshot(model, "predicted");
  const between = async () => {
    await trial.settle(model, "between");
    await trial.snapshot(model, "between");
  };
  await trial.ask(model, "first", { between });
  await trial.settle(model, "asked");
  await trial.snapshot(model, "asked");
  await trial.snapshot(model, "read");
  await trial.predict(model, "after");
  await trial.snapshot(model, "after");
  await trial.ask(model, "second");
  await trial.settle(model, "second");
  await trial.snapshot(model, "second");
}

async function unsettled(trial) {
  const model = await trial.build();
  await trial.predict(model, "before");
  const value = await trial.ask(model, "first", { read: false });
  await trial.snapshot(model, "at-once");
  await trial.read(value, "first");
  await trial.settle(model, "after");
  await trial.snapshot(model, "after");
  await trial.predict(model, "after");
}

async function immediate(trial) {
  const model = await trial.build();
  await trial.predict(model, "before");
  const value = await trial.ask(model, "first", { read: false });
  await trial.predict(model, "after");
  await trial.read(value, "first");
  await trial.settle(model, "after");
  await trial.snapshot(model, "after");
  await trial.predict(model, "last");
}

async function layers(trial) {
  const { adapter, recorder, inputs, mode } = trial;
  const model = await trial.build();
  await recorder.step("layers", async () => {
    const shown = await adapter.layers(model, await adapter.tensor(inputs.x), mode.name);
    for (const [name, value] of Object.entries(shown)) recorder.array(`layer/${name}`, await adapter.array(value));
  });
  trial.asked = true;
}

async function orderAlone(trial) {
  const model = await trial.build();
  await trial.ask(model, "first");
  await trial.settle(model, "after");
  await trial.snapshot(model, "after");
}

async function orderAfterOther(trial) {
  const training = trial.named(trial.mode.training);
  const other = await trial.build("other", { mode: training.name });
  await trial.ask(other, "other", { mode: training });
  await trial.settle(other, "other");
  await orderAlone(trial);
}

async function orderAfterSame(trial) {
  const training = trial.named(trial.mode.training);
  const model = await trial.build();
  await trial.ask(model, "other", { mode: training });
  await trial.settle(model, "other");
  await trial.snapshot(model, "before");
  await trial.ask(model, "first");
  await trial.settle(model, "after");
  await trial.snapshot(model, "after");
}

async function twenty(trial) {
  const model = await trial.build();
  await trial.predict(model, "0");
  await trial.classify(model, "0");
  const { noise } = trial.inputs;
  for (let index = 1; index <= noise.shape[0]; index++) {
    await trial.ask(model, String(index), { x: row(noise, index - 1) });
    await trial.predict(model, String(index));
    await trial.classify(model, String(index));
  }
  await trial.settle(model, "last");
  await trial.snapshot(model, "last");
}

async function ascent(trial) {
  const model = await trial.build();
  const second = await trial.build("readout", { shares: model, network: trial.readout });
  await trial.predict(model, "0");
  await trial.classify(model, "0");
  let image = trial.inputs.x;
  const rows = image.shape[0];
  const cotangent = { dtype: "<f4", shape: [rows, 1], data: new Float32Array(rows).fill(1) };
  for (let index = 1; index <= ASCENT_STEPS; index++) {
    const gradient = await trial.ask(second, String(index), { x: image, cotangent });
    const step = rescale(gradient);
    const data = image.data.map((value, at) => value + Math.fround(step.data[at] / 10));
    image = rescale({ ...image, data });
    await trial.predict(model, String(index));
    await trial.classify(model, String(index));
  }
  trial.recorder.array("image/last", image);
  await trial.settle(model, "last");
  await trial.snapshot(model, "last");
}

async function sibling(trial) {
  const first = await trial.build("first");
  const second = await trial.build("second", { shares: first });
  await trial.predict(first, "before");
  await trial.predict(second, "sibling-before");
  await trial.ask(second, "first");
  await trial.predict(first, "after");
  await trial.predict(second, "sibling-after");
  await trial.settle(first, "after");
  await trial.snapshot(first, "after");
}

async function exported(trial) {
  const { adapter, recorder, mode } = trial;
  const model = await trial.build();
  await trial.predict(model, "before");
  await trial.snapshot(model, "before");
  const folder = path.join(trial.network.scratch, "export");
  fs.mkdirSync(folder);
  recorder.flags("flags/before-first", adapter.flags());
  const copy = await recorder.step("export", () => adapter.export(model, mode.name, folder));
  trial.asked = true;
  recorder.flags("flags/after-first", adapter.flags());
  await trial.predict(model, "after");
  await trial.snapshot(model, "after");
  await trial.predict(copy, "exported");
}

/** "scenario/reading" -> steps. */
const STEPS = {
  "gradient/undisturbed": undisturbed,
  "gradient/timed": timed,
  "gradient/unsettled": unsettled,
  "gradient/immediate": immediate,
  "predict-only/undisturbed": undisturbed,
  "predict-only/timed": timed,
  "predict-only/unsettled": unsettled,
  "predict-only/immediate": immediate,
  "predict-only/layers": layers,
  "order/alone": orderAlone,
  "order/after-other": orderAfterOther,
  "order/after-same": orderAfterSame,
  "twenty/undisturbed": twenty,
  "ascent/undisturbed": ascent,
  "sibling/undisturbed": sibling,
  "export/undisturbed": exported,
};

module.exports = { STEPS, Trial };
