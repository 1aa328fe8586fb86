"use strict";
// The panel of one cell: all of its measurements, as numbers and pictures.
const panel = (() => {
  const rowsOf = (prediction) => (Array.isArray(prediction) ? prediction : []);
  const flat = (value) => (Array.isArray(value) ? value.flatMap(flat) : [value]);

  const predictions = (cell) => {
    const before = rowsOf(cell.prediction_before), after = rowsOf(cell.prediction_after);
    const label = (classes, at) => (classes && classes[at] !== undefined ? ` (class ${classes[at]})` : "");
    const text = (rows, classes, at) => (rows[at] === undefined ? "–" : [].concat(rows[at]).map(number).join(" ") + label(classes, at));
    return Array.from({ length: Math.max(before.length, after.length) }, (_, at) =>
      [String(at), text(before, cell.top1_before, at), text(after, cell.top1_after, at)]);
  };

  const corrected = {
    "unbiased-epsilon": "(biased + epsilon) x n/(n - 1)",
    "keras-2": "biased x n/(n - 1 - epsilon)",
    "keras-2-fused": "unbiased x n/(n - 1 - epsilon)",
    "keras-2-theano": "(biased + epsilon) x n/(n - 1 - epsilon)",
  };
  const variance = (name) => corrected[name] || name;
  const whens = { adopted: "as the caller adopts what was returned", second: "in the second call only" };
  const update = (law) => law && (law.when === "none" ? "none" : [
    `${law.count === null ? "moved" : `updates: ${law.count},`} ${whens[law.when] || `in ${law.when}`}`,
    law.momentum === null ? "no known law" : `momentum ${number(law.momentum)}, variance ${variance(law.variance)}`,
    law.residual === null ? [] : `residual ${error(law.residual)}`,
  ].flat().join(", "));

  const link = (address) => (/^https?:\/\//.test(address) ? element("a", address, { href: address, rel: "noreferrer" }) : address);

  // One square per entry, darker for larger values; negative entries have another colour and a stroke.
  const squares = (rows, largest, description, size) => {
    const height = rows.length, width = Math.max(...rows.map((row) => row.length), 1);
    const marks = rows.flatMap((row, y) => row.map((entry, x) => {
      const value = finite(entry);
      if (Number.isNaN(value)) return drawing("path", { class: "nothing", d: `M${x} ${y}l1 1m-1 0l1-1` });
      const share = largest > 0 ? Math.min(Math.abs(value) / largest, 1) : 0;
      return drawing("rect", { class: value < 0 ? "negative" : "positive", x, y, width: 1, height: 1, "fill-opacity": share.toFixed(3) });
    }));
    return drawing("svg", { class: `strip ${size}`, viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": description, preserveAspectRatio: "none" }, marks);
  };
  const largestOf = (...lists) => Math.max(0, ...lists.flatMap(flat).map(finite).filter(Number.isFinite).map(Math.abs));

  const numbersOf = (values) => (values.length <= 8 ? values.map(number).join(" ")
    : element("details", [element("summary", `${values.slice(0, 4).map(number).join(" ")} … (${values.length})`), values.map(number).join(" ")]));

  const tensors = (cell) => Object.entries(cell.tensors).map(([name, { before, after }]) => {
    const later = after || before;
    const change = later.map((value, at) => finite(value) - finite(before[at]));
    const largest = largestOf(before, later);
    const part = (values, scale, what) => [squares([values], scale, `${name}, ${what}`, "row"), numbersOf(values)];
    return [name, part(before, largest, "before"), after ? part(later, largest, "after") : "the same bits",
      after ? part(change, largestOf(change), "difference") : "0"];
  });

  // The first image of a batch, channels stacked vertically; null for other shapes.
  const image = (gradient) => {
    let value = gradient;
    while (Array.isArray(value) && Array.isArray(value[0]) && Array.isArray(value[0][0])) value = Array.isArray(value[0][0][0]) ? value[0] : value.flat();
    const rows = Array.isArray(value) && Array.isArray(value[0]) ? value : null;
    return rows && rows.length >= 4 && rows[0].length >= 4 ? rows : null;
  };

  const gradients = (cell) => {
    const kinds = [["measured", cell.gradient], ...Object.entries(cell.closed_forms || {}).map(([mode, value]) => [`closed form, ${mode} mode`, value])];
    const largest = largestOf(...kinds.map(([, value]) => value));
    const deep = (value) => (Array.isArray(value) ? 1 + deep(value[0]) : 0);
    if (deep(cell.gradient) === 4 && kinds.every(([, value]) => image(value))) {
      return element("div", kinds.map(([name, value]) => element("figure", [
        squares(image(value), largest, `Gradient, ${name}`, "image"), element("figcaption", name)])), { class: "pictures" });
    }
    return "";
  };

  const distribution = (cell) => table(["Reading", "Trials", "Statuses", "Distinct outcomes"], cell.trials.map((item) => [
    item.reading, String(item.count),
    Object.entries(item.statuses).map(([status, count]) => `${status} ${count}`).join(", "),
    item.outcomes.map((outcome) => element("span", [
      drawing("svg", { class: "share", viewBox: "0 0 100 10", "aria-hidden": "true", preserveAspectRatio: "none" },
        [drawing("rect", { class: "positive", width: (100 * outcome.count) / item.count, height: 10 })]),
      `${outcome.count} × ${outcome.what}`], { class: "outcome" })),
  ]));

  const script = (cell) => {
    const save = element("button", "Save", { type: "button", "aria-label": "Save the script as a file" });
    save.addEventListener("click", () => {
      const address = URL.createObjectURL(new Blob([cell.script], { type: "text/plain" }));
      element("a", "", { href: address, download: `${cell.id.replace(/[^\w.@+-]+/g, "--")}.py` }).click();
      setTimeout(() => URL.revokeObjectURL(address), 1000);
    });
    const lines = cell.script.split("\n").length;
    return element("details", [element("summary", `${plural(lines, "line")} that need only this runtime and numpy; run with: uv run FILE`), save, copyable(cell.script, "the script")]);
  };

  // What the cell shows, in a few sentences.
  const CALLS = { gradient: ["One gradient", "Twenty gradients"], prediction: ["One forward pass", "Twenty forward passes"], export: ["One export", "Twenty exports"] };
  const SAID = {
    move: "The documentation says that statistics move.",
    stay: "The documentation says that they stay.",
    undocumented: "The documentation does not say what happens to the statistics.",
  };
  const some = (names, noun) => (names.length > 4 ? `${names.slice(0, 3).join(", ")} and ${plural(names.length - 3, `more ${noun}`)}` : names.join(", "));
  // "mean and variance of bn1, bn2" where every layer has the same tensors among the names, else the names.
  const listed = (names) => {
    const of = new Map();
    for (const name of names) {
      const at = name.lastIndexOf("."), layer = name.slice(0, Math.max(at, 0));
      of.set(layer, [...(of.get(layer) || []), name.slice(at + 1)]);
    }
    const kinds = new Set([...of.values()].map((tensors) => tensors.join(" and ")));
    const alike = kinds.size === 1 && !of.has("") && [...of.values()][0].length < 4;
    return alike ? `${[...kinds][0]} of ${some([...of.keys()], "layer")}` : some(names, "tensor");
  };
  const sentences = (cell) => {
    const stepwise = ["twenty", "ascent"].includes(cell.scenario);
    const subject = `${(CALLS[cell.asks] || CALLS.gradient)[stepwise ? 1 : 0]} in ${cell.intent} mode`;
    if (!cell.findings.length) return cell.undecided ? `${subject}: undecided, ${cell.undecided}.` : `${subject} could not be measured: ${cell.status}.`;
    const moved = Object.entries(cell.state_changes).filter(([, change]) => change !== 0).map(([name]) => name);
    const before = flat(rowsOf(cell.prediction_before)).map(finite), after = flat(rowsOf(cell.prediction_after)).map(finite);
    const change = before.length && before.length === after.length ? Math.max(...after.map((value, at) => Math.abs(value - before[at]))) : NaN;
    const [old, now] = [cell.top1_before || [], cell.top1_after || []];
    const flipped = now.filter((value, at) => value !== old[at]).length;
    const others = cell.findings.filter((name) => !["leak", "state-moved", "clean"].includes(name));
    const told = [];
    if (cell.findings.includes("leak")) {
      told.push(moved.length ? `moved ${listed(moved)}` : "changed something that cannot be read");
      told.push(Number.isNaN(change) || change === 0 ? "a later prediction changed" : `the next prediction changed by ${number(Number(change.toPrecision(3)))}`);
      if (flipped) told.push(`${flipped} of ${plural(old.length, "row")} changed class`);
    } else if (cell.findings.includes("state-moved")) told.push(`moved ${listed(moved) || "the network's state"}, which the next prediction does not show`);
    else if (cell.findings.includes("clean")) told.push("left the network as it was, and the numbers are right");
    const also = others.map((name) => `${name}: ${vocabulary.meaning[name] || "a finding unknown to this report"}`);
    const first = told.length ? [`${subject} ${told.join("; ")}.`, ...also.map((text) => `Also ${text}.`)] : also.map((text, at) => `${at ? "Also" : `${subject} shows`} ${text}.`);
    const documented = cell.findings.includes("leak") || cell.findings.includes("state-moved") ? [SAID[cell.contract.statistics] || ""] : [];
    return [...first, ...documented].join(" ");
  };

  const of = (cell) => {
    const parts = [element("p", sentences(cell), { class: "lead" })];
    const add = (title, ...nodes) => parts.push(element("h3", title), ...nodes);
    const way = document.getElementById(`mode/${cell.runtime}/${cell.mode}`.split(/\s+/).join("_"));
    const summary = way && way.querySelector("summary .aside");
    if (cell.call) add("Call", ...(summary ? [element("p", summary.textContent, { class: "aside" })] : []), copyable(cell.call, "the call"));
    parts.push(facts([
      ...cell.causes.map(([place, line]) => ["Cause", element("a", line, { href: `#${place}` })]),
      ...cell.findings.map((name) => ["What to do", vocabulary.remedy[name] && `${name}: ${vocabulary.remedy[name]}`]),
      ["Status", cell.reason ? `${cell.status}: ${cell.reason}` : cell.status],
      ["Undecided", cell.undecided],
      ["Released", cell.released],
      ["Moved", update(cell.update)],
      ["Gradient error", cell.gradient_error && `${errors(cell.gradient_error)} (against the inference / training form; – where that is zero)`],
      ["Gradient again", cell.later && cell.later.gradient_again ? errors(cell.later.gradient_again) : null],
      ["Inference gradient after", cell.later && cell.later.inference_gradient ? errors(cell.later.inference_gradient) : null],
      ["First layer that differs", cell.first_layer && `${cell.first_layer.node} (${cell.first_layer.op}), its output ${cell.first_layer.tensor} by ${error(cell.first_layer.error)} of its largest entry`],
      ["Parameter view", cell.public_view && `${cell.public_view} the change`],
      ["Documentation", element("span", [`statistics: ${cell.contract.statistics}. ${cell.contract.says} `, link(cell.contract.link)])],
      ["Contradicted", cell.contradicts === null ? null : cell.contradicts ? "yes" : "no"],
      ["Left out here", Object.entries(cell.omitted).map(([field, count]) => `${count} of ${field.replace("_", " ")}`).join(", ")],
      ["Against the other run", cell.change],
      ["Against the expectations", cell.expectation[1]],
    ]));
    if (predictions(cell).length) add("Predictions", table(["Row", "Before", "After"], predictions(cell)));
    else for (const key of ["prediction_before", "prediction_after"]) if (cell[key]) add(key.replace("_", " "), element("p", String(cell[key])));
    if (Object.keys(cell.tensors).length) add("Persistent tensors", element("p", "Strips: stronger colour for larger values, red for positive, blue for negative.", { class: "aside" }), table(["Tensor", "Before", "After", "Difference"], tensors(cell)));
    const others = Object.entries(cell.state_changes).filter(([name]) => !Object.hasOwn(cell.tensors, name));
    if (others.length) add(Object.keys(cell.tensors).length ? "Largest change of the other tensors" : "Largest change of each persistent tensor",
      table(["Tensor", "Change"], others.map(([name, change]) => [name, error(change)])));
    if (cell.gradient !== null) {
      const numbers = [["measured", nested(cell.gradient)], ...Object.entries(cell.closed_forms || {}).map(([mode, value]) => [`closed form, ${mode} mode`, nested(value)])];
      const listed = table(["Gradient", "Numbers"], numbers);
      add("Gradient", gradients(cell), flat(cell.gradient).length > 8 ? element("details", [element("summary", "The numbers"), listed]) : listed);
    }
    if (cell.curve) add("Curve", element("details", [element("summary", `Accuracy ${number(cell.curve.accuracy[0])} before, ${number(cell.curve.accuracy.at(-1))} after`), table(["Call", "Accuracy", "Class"],
      cell.curve.accuracy.map((accuracy, call) => [String(call), number(accuracy), number(cell.curve.top1[call])]))]));
    if (cell.evidence.length) add("Evidence: numbers and thresholds", table(["Finding", "Quantity", "Value", "Threshold", "Reason for the threshold", "Detail"],
      cell.evidence.map((item) => [item.finding, item.what, number(item.value), number(item.threshold), item.why || "", item.detail || ""])));
    if (cell.trials.length) add("Trials", distribution(cell));
    if (cell.script) add("Standalone script", script(cell));
    if (cell.reproduce) add("Run this cell alone", copyable(cell.reproduce, "the command"));
    if (cell.stderr) add("End of stderr", element("pre", cell.stderr, { tabindex: "0" }));
    add("Environment", facts([
      ["Python", cell.environment.python],
      ["Lock", cell.environment.lock],
      ["Packages", Object.entries(cell.environment.packages).map((pair) => pair.join(" ")).join(", ")],
      ["Variables", Object.entries(cell.environment.variables).map((pair) => pair.join("=")).join(" ")],
      ["Duration of the trials", `${number(cell.seconds)} s`],
      ["Arrays", cell.arrays],
    ]));
    return parts;
  };

  return { of };
})();
