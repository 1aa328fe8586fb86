"use strict";
// Elements and numbers. All content is inserted as text, never as markup: some of it comes from runtimes.
const element = (name, children, attributes) => {
  const node = document.createElement(name);
  for (const [key, value] of Object.entries(attributes || {})) node.setAttribute(key, value);
  node.append(...[].concat(children));
  return node;
};

const drawing = (name, attributes, children) => {
  const node = document.createElementNS("http://www.w3.org/2000/svg", name);
  for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value);
  node.append(...(children || []));
  return node;
};

// Assignments of what a node has already cost the browser a layout.
const write = (node, text) => { if (node.textContent !== text) node.textContent = text; };
const hide = (node, hidden) => { if (node.hidden !== hidden) node.hidden = hidden; };

const number = (value) => {
  if (value === null || value === undefined) return "–";
  if (typeof value !== "number") return String(value);
  const size = Math.abs(value);
  return size !== 0 && (size < 1e-4 || size >= 1e6) ? value.toExponential(5).replace(/\.?0+e/, "e") : String(Number(value.toPrecision(6)));
};
const error = (value) => (typeof value === "number" && value !== 0 ? value.toExponential(1) : number(value));
const errors = (value) => (value ? `${error(value.inference)} / ${error(value.training)}` : "–");
const nested = (value) => (Array.isArray(value) ? "[" + value.map(nested).join(", ") + "]" : number(value));
const finite = (value) => (typeof value === "number" ? value : NaN);
const plural = (count, noun) => `${count} ${noun}${count === 1 ? "" : "s"}`;

const badge = (name) => element("span", [element("b", vocabulary.letter[name] || "?"), ` ${name}`], { class: `badge t-${vocabulary.tone[name] || "unmeasured"}` });
const shown = (cell) => (cell.findings.length ? worstFirst(cell.findings) : [cell.status]);

const table = (headings, rows, caption) => {
  const head = element("thead", element("tr", headings.map((text) => element("th", text, { scope: "col" }))));
  const body = element("tbody", rows.map((row) => element("tr", row.map((item, at) =>
    at === 0 ? element("th", item, { scope: "row" }) : element("td", item, { "data-label": headings[at].toLowerCase() })))));
  const parts = caption ? [element("caption", caption), head, body] : [head, body];
  return element("div", element("table", parts, { class: "stack" }), { class: "scroll", tabindex: "0", role: "region", "aria-label": caption || headings.join(", ") });
};

const facts = (pairs) => element("dl", pairs.filter(([, value]) => value !== null && value !== undefined && value !== "")
  .flatMap(([name, value]) => [element("dt", name), element("dd", value)]));

const copyText = async (text, button) => {
  const label = button.textContent;
  try {
    await navigator.clipboard.writeText(text);
    button.textContent = "Copied";
  } catch (problem) {
    button.textContent = "Not allowed here: select the text and copy it";
  }
  setTimeout(() => { button.textContent = label; }, 2000);
};

const copyable = (text, what) => {
  const button = element("button", "Copy", { type: "button", "aria-label": `Copy ${what}` });
  button.addEventListener("click", () => copyText(text, button));
  return element("div", [button, element("pre", text, { tabindex: "0", "aria-label": what })], { class: "copyable" });
};
