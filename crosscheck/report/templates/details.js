"use strict";
// Shows a cell's evidence below its line. Everything is put in as text, nothing as markup: the words are the runtimes'.
(() => {
  let archive = null;

  const cellAt = (index) => {
    archive = archive || JSON.parse(document.getElementById("cells").textContent);
    const unpack = (fields, places) => Object.fromEntries(fields.map((field, at) => [field, archive.values[places[at]]]));
    const cell = unpack(archive.fields, archive.cells[index]);
    return { ...cell, evidence: cell.evidence.map((places) => unpack(archive.evidence, places)) };
  };

  const element = (name, children, attributes) => {
    const node = document.createElement(name);
    for (const [key, value] of Object.entries(attributes || {})) node.setAttribute(key, value);
    node.append(...[].concat(children));
    return node;
  };

  const number = (value) => {
    if (value === null || value === undefined) return "–";
    if (typeof value !== "number") return String(value);
    const size = Math.abs(value);
    return size !== 0 && (size < 1e-4 || size >= 1e6) ? value.toExponential(5).replace(/\.?0+e/, "e") : String(Number(value.toPrecision(6)));
  };
  const error = (value) => (typeof value === "number" && value !== 0 ? value.toExponential(1) : number(value));
  const errors = (value) => (value ? `${error(value.inference)} / ${error(value.training)}` : "–");
  const nested = (value) => (Array.isArray(value) ? "[" + value.map(nested).join(", ") + "]" : number(value));

  const table = (headings, rows) => {
    const head = element("thead", element("tr", headings.map((text) => element("th", text, { scope: "col" }))));
    const body = element("tbody", rows.map((row) => element("tr", row.map((text, at) =>
      at === 0 ? element("th", text, { scope: "row" }) : element("td", text, { "data-label": headings[at] })))));
    return element("div", element("table", [head, body]), { class: "scroll", tabindex: "0", role: "region", "aria-label": headings.join(", ") });
  };

  const facts = (pairs) => element("dl", pairs.filter(([, value]) => value !== null && value !== "")
    .flatMap(([name, value]) => [element("dt", name), element("dd", value)]));

  const rowsOf = (prediction) => (Array.isArray(prediction) ? prediction : []);

  const predictions = (cell) => {
    const before = rowsOf(cell.prediction_before), after = rowsOf(cell.prediction_after);
    const label = (classes, at) => (classes && classes[at] !== undefined ? ` (class ${classes[at]})` : "");
    const text = (rows, classes, at) => (rows[at] === undefined ? "–" : [].concat(rows[at]).map(number).join(" ") + label(classes, at));
    const count = Math.max(before.length, after.length);
    return Array.from({ length: count }, (_, at) => [String(at), text(before, cell.top1_before, at), text(after, cell.top1_after, at)]);
  };

  const update = (law) => law && (law.when === "none" ? "none" : [
    law.count === null ? `moved in ${law.when}` : `updates: ${law.count}, in ${law.when}`,
    law.momentum === null ? "by no known law" : `momentum ${number(law.momentum)}, variance ${law.variance}`,
    law.residual === null ? [] : `residual ${error(law.residual)}`,
  ].flat().join(", "));

  const link = (address) => (/^https?:\/\//.test(address) ? element("a", address, { href: address, rel: "noreferrer" }) : address);

  const panelOf = (cell) => {
    const parts = [];
    const add = (title, ...nodes) => parts.push(element("h5", title), ...nodes);
    parts.push(facts([
      ["Status", cell.reason ? `${cell.status}: ${cell.reason}` : cell.status],
      ["Findings", cell.findings.join(", ")],
      ["Released", cell.released],
      ["Update law", update(cell.update)],
      ["Gradient error", cell.gradient_error && `${errors(cell.gradient_error)} (inference / training form)`],
      ["Gradient again", cell.later && cell.later.gradient_again ? errors(cell.later.gradient_again) : null],
      ["Inference gradient after", cell.later && cell.later.inference_gradient ? errors(cell.later.inference_gradient) : null],
      ["First layer that differs", cell.first_layer && `${cell.first_layer.node} (${cell.first_layer.op}), its output ${cell.first_layer.tensor} by ${error(cell.first_layer.error)} of its largest entry`],
      ["Parameter view", cell.public_view && `${cell.public_view} the change`],
      ["Documentation", element("span", [`statistics: ${cell.contract.statistics}. ${cell.contract.says} `, link(cell.contract.link)])],
      ["Contradicted", cell.contradicts === null ? "not known" : cell.contradicts ? "yes" : "no"],
      ["Trials took", `${number(cell.seconds)} s`],
      ["Arrays", cell.arrays],
    ]));
    if (cell.evidence.length) add("Evidence", table(["Finding", "What", "Value", "Threshold", "Why this threshold", "Detail"],
      cell.evidence.map((item) => [item.finding, item.what, number(item.value), number(item.threshold), item.why || "", item.detail || ""])));
    if (predictions(cell).length) add("Predictions", table(["Row", "Before", "After"], predictions(cell)));
    else for (const key of ["prediction_before", "prediction_after"]) if (cell[key]) add(key.replace("_", " "), element("p", String(cell[key])));
    if (Object.keys(cell.state_changes).length) add("Largest change of each persistent tensor", table(["Tensor", "Change"],
      Object.entries(cell.state_changes).map(([name, change]) => [name, error(change)])));
    if (cell.gradient !== null) add("Gradient", element("pre", nested(cell.gradient)));
    if (cell.curve) add("Curve", table(["Call", "Accuracy", "Class"],
      cell.curve.accuracy.map((accuracy, call) => [String(call), number(accuracy), number(cell.curve.top1[call])])));
    if (cell.trials.length) add("Trials", table(["Reading", "Trials", "How they ended", "Distinct outcomes"],
      cell.trials.map((item) => [item.reading, String(item.count),
        Object.entries(item.statuses).map(([status, count]) => `${status} ${count}`).join(", "),
        item.outcomes.map((outcome) => `${outcome.count} × ${outcome.what}`).join("; ")])));
    if (cell.call) add("Asked by", element("pre", cell.call));
    add("Environment", facts([
      ["Python", cell.environment.python],
      ["Packages", Object.entries(cell.environment.packages).map((pair) => pair.join(" ")).join(", ")],
      ["Variables", Object.entries(cell.environment.variables).map((pair) => pair.join("=")).join(" ")],
    ]));
    if (cell.stderr) add("What the runtime printed on stderr (its end)", element("pre", cell.stderr));
    if (cell.reproduce) add("Run just this cell", element("pre", cell.reproduce));
    return element("section", [element("h4", cell.id), ...parts], { class: "panel", "aria-label": cell.id });
  };

  const close = (anchor) => {
    anchor.setAttribute("aria-expanded", "false");
    anchor.closest("tr").nextElementSibling.remove();
  };

  const show = (anchor) => {
    const row = anchor.closest("tr");
    const open = row.querySelector("a[aria-expanded=true]");
    if (open === anchor) return;
    if (open) close(open);
    anchor.setAttribute("aria-expanded", "true");
    const cell = element("td", panelOf(cellAt(Number(anchor.dataset.c))), { colspan: String(row.cells.length) });
    row.after(element("tr", cell, { class: "panel-row" }));
  };

  const follow = () => {
    const raw = location.hash.slice(1);
    if (!raw) return;
    let decoded = raw;
    try { decoded = decodeURIComponent(raw); } catch (problem) { /* not percent-encoded: taken as it stands */ }
    const target = document.getElementById(raw) || document.getElementById(decoded);
    if (!target) return;
    for (let node = target; node; node = node.parentElement) if (node.tagName === "DETAILS") node.open = true;
    if (target.dataset.c !== undefined) show(target);
    target.scrollIntoView({ block: "start" });
    const region = target.closest(".scroll");
    if (region) region.scrollLeft = 0;
  };

  document.addEventListener("click", (event) => {
    const anchor = event.target.closest("a[data-c]");
    if (!anchor) return;
    event.preventDefault();
    if (anchor.getAttribute("aria-expanded") === "true") close(anchor);
    else {
      history.replaceState(null, "", anchor.getAttribute("href"));
      show(anchor);
    }
  });
  addEventListener("hashchange", follow);
  addEventListener("load", follow);
})();
