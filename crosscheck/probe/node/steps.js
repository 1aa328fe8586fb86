// Carries out the steps of a scenario: crosscheck/probe/steps.py for Node, which says what is recorded under which key.

"use strict";

const fs = require("fs");
const path = require("path");

const { bytesOf, classes, confidences, flag, full, rescaled, row } = require("./arrays");

/** One trial: an adapter, a recorder, networks by name, inputs, and modes by role. One method a step, and all awaited. */
class Trial {
  asked = false; // the mode under test has returned once: a refusal after that is a finding
  models = {};
  repetition = 0;
  lastGradient = null;
  unread = null;

  constructor({ adapter, recorder, modes, networks, inputs }) {
    Object.assign(this, { adapter, recorder, modes, networks, inputs, ascended: inputs.x });
  }

  /** Carry out the steps in their order. Throws StepFailed where one fails. */
  async run(steps) {
    for (const step of steps) await this[step.do](step);
  }

  /** The inner steps, several times. */
  async repeat({ times, steps }) {
    for (this.repetition = 1; this.repetition <= times; this.repetition++) await this.run(steps);
  }

  /** A model of a network, ready to be asked in a mode. */
  async build({ model, network: name, mode, shares }) {
    const use = [name, mode, ...(shares ? ["shared"] : [])].join("/");
    const network = { ...this.networks[name], source: this.networks[name].sources[use] };
    this.models[model] = await this.recorder.step(`build/${model}`, () =>
      this.adapter.build(network, this.modes[mode].name, shares && this.models[shares]),
    );
  }

  /** The documented prediction of the probe input; nothing for an export that is not read back. */
  async predict(step) {
    const [model, key] = [this.models[step.model], this.key(step)];
    if (model === null) return;
    const { given, y } = await this.predicted(model, this.inputs.x, `predict/${key}`);
    this.recorder.array(`prediction/${key}`, y);
    await this.checkInput(given, this.inputs.x, `prediction-input/${key}`);
  }

  /** The classes of all held-out images, predicted in one batch, and the probability (softmax) of each. */
  async classify(step) {
    const [model, key] = [this.models[step.model], this.key(step)];
    const { y } = await this.predicted(model, this.inputs.images, `classify/${key}`);
    this.recorder.array(`classes/${key}`, classes(y));
    this.recorder.array(`confidence/${key}`, confidences(y));
  }

  /** The mode of a role: a gradient or a prediction, read or left unread. */
  async ask(step) {
    const { adapter, recorder } = this;
    const [key, mode, model] = [this.key(step), this.modes[step.mode], this.models[step.model]];
    const array = this.input(step.input);
    const given = await adapter.tensor(array);
    recorder.flags(`flags/before-${key}`, adapter.flags());
    const gradient = mode.asks === "gradient";
    const label = `${gradient ? "gradient" : "forward"}/${key}`;
    const cotangent = step.cotangent === "ones" ? full([array.shape[0], 1], 1) : this.inputs.cotangent;
    const seed = gradient ? await adapter.tensor(cotangent) : null;
    const value = await recorder.step(label, async () => {
      const answer = gradient
        ? await adapter.gradient(model, given, seed, mode.name, () => this.run(step.between))
        : await adapter.forward(model, given, mode.name);
      return step.read ? adapter.array(answer) : answer;
    });
    if (mode.name === this.modes.tested.name) this.asked = true;
    recorder.flags(`flags/after-${key}`, adapter.flags());
    if (!step.read) {
      this.unread = value;
      return;
    }
    recorder.array(label, value);
    await this.checkInput(given, array, `input/${key}`);
    this.lastGradient = value;
  }

  /** The result of the last `ask` that was not read. */
  async read(step) {
    const [kind, key] = [this.modes.tested.asks === "gradient" ? "gradient" : "forward", this.key(step)];
    this.recorder.array(`${kind}/${key}`, await this.recorder.step(`read/${key}`, () => this.adapter.array(this.unread)));
  }

  /** Every persistent tensor, the runtime's public parameter view, and what else calls left behind. */
  async snapshot(step) {
    const [key, model] = [this.key(step), this.models[step.model]];
    await this.recorder.step(`state/${key}`, async () => {
      for (const kind of ["state", "parameters", "left"]) {
        const arrays = await this.adapter[kind](model);
        for (const name of Object.keys(arrays).sort()) this.recorder.array(`${kind}/${key}/${name}`, arrays[name]);
      }
      const flags = await this.adapter.switched(model);
      for (const name of Object.keys(flags).sort()) this.recorder.array(`switched/${key}/${name}`, flag(flags[name]));
    });
  }

  /** Wait for all asynchronous work. */
  async settle(step) {
    await this.recorder.step(`settle/${this.key(step)}`, () => this.adapter.settle(this.models[step.model]));
  }

  /** What every node puts out in the mode under test. */
  async layers(step) {
    await this.recorder.step("layers", async () => {
      const x = await this.adapter.tensor(this.inputs.x);
      const arrays = await this.adapter.layers(this.models[step.model], x, this.modes.tested.name);
      for (const [name, array] of Object.entries(arrays)) this.recorder.array(`layer/${name}`, array);
    });
    this.asked = true;
  }

  /** One step of gradient ascent on the image. */
  ascend() {
    const { data } = rescaled(this.lastGradient);
    const moved = this.ascended.data.map((value, at) => value + Math.fround(data[at] / 10));
    this.ascended = rescaled({ ...this.ascended, data: moved });
  }

  /** The image that gradient ascent made. */
  image(step) {
    this.recorder.array(`image/${this.key(step)}`, this.ascended);
  }

  /** The export; ONNX files are recorded, and what is read back becomes a model. */
  async export(step) {
    const { adapter, recorder } = this;
    const folder = path.join(this.networks.network.scratch, "files");
    recorder.flags("flags/before-first", adapter.flags());
    this.models[step.as] = await recorder.step("export", () =>
      adapter.export(this.models[step.model], this.modes.tested.name),
    );
    this.asked = true;
    recorder.flags("flags/after-first", adapter.flags());
    for (const name of fs.readdirSync(folder).sort()) {
      const file = path.join(folder, name);
      if (!name.endsWith(".onnx") || fs.lstatSync(file).isSymbolicLink()) continue;
      const data = new Uint8Array(fs.readFileSync(file));
      recorder.array(`file/${name}`, { dtype: "|u1", shape: [data.length], data });
    }
  }

  /** The runtime's input, and the documented prediction of it. */
  predicted(model, array, label) {
    return this.recorder.step(label, async () => {
      const given = await this.adapter.tensor(array);
      return { given, y: await this.adapter.predict(model, given, array.shape[0]) };
    });
  }

  /** Record the runtime's input, if its numbers are not the ones put in. */
  async checkInput(given, array, key) {
    const now = await this.adapter.array(given);
    if (!bytesOf(now).equals(bytesOf(array))) this.recorder.array(key, now);
  }

  /** The array that a mode is asked about. */
  input(source) {
    if (source === "noise") return row(this.inputs.noise, this.repetition - 1);
    return source === "image" ? this.ascended : this.inputs.x;
  }

  /** What a step records its result as. */
  key(step) {
    return step.as.replace("#", String(this.repetition));
  }
}

module.exports = { Trial };
