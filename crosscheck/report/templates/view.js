"use strict";
// The view state: the search and the open cell. It is stored in the fragment after "#?", so that links restore it.
(async () => {
  const search = document.getElementById("search"), dialog = document.getElementById("cell");
  const fields = ["q", "network", "scenario"].map((name) => document.getElementById(name));
  const found = document.getElementById("found"), results = document.getElementById("results");
  const LISTED = 40;
  const KEYS = ["id", "runtime", "release", "variant", "mode", "network", "scenario", "intent", "asks", "status", "findings", "contract", "contradicts", "call", "reason", "default_call", "change", "expectation"];

  try {
    await embedded.load();
  } catch (problem) {
    search.hidden = false;
    found.textContent = `The cells could not be unpacked (${problem.message}): this browser may be too old. The tables still work.`;
    return;
  }
  const cells = Array.from({ length: embedded.count }, (_, index) => Object.fromEntries(KEYS.map((key) => [key, embedded.field(index, key)])));
  const byId = new Map(cells.map((cell, index) => [cell.id, index]));
  squares.find(cells);

  const lines = [];
  for (const anchor of document.querySelectorAll("a[data-c]")) {
    const row = anchor.closest("tr");
    if (!lines.length || lines.at(-1).row !== row) lines.push({ row, indices: [] });
    lines.at(-1).indices.push(Number(anchor.dataset.c));
  }
  const modes = [...document.querySelectorAll("details.mode")].map((details) => ({ details, lines: lines.filter(({ row }) => details.contains(row)) }));
  const runtimes = [...document.querySelectorAll("section.runtime")];

  const state = () => new URLSearchParams(location.hash.startsWith("#?") ? location.hash.slice(2) : "");
  const address = (changes) => {
    const words = state();
    for (const [key, value] of Object.entries(changes)) value ? words.set(key, value) : words.delete(key);
    return words.size ? `#?${words}` : "#";
  };

  const list = (matching) => {
    const item = (index) => {
      const cell = cells[index];
      return element("li", [element("a", cell.id, { href: address({ cell: cell.id }) }), " ", ...shown(cell).flatMap((name) => [badge(name), " "])]);
    };
    const first = [...matching].slice(0, LISTED).map(item);
    const rest = matching.size - first.length;
    results.replaceChildren(element("ol", first), ...(rest > 0 ? [element("p", `and ${plural(rest, "more cell")}, shown in the tables below.`, { class: "aside" })] : []));
  };

  let applied = null;
  const filter = () => {
    const [q, network, scenario] = fields.map((field) => field.value.trim());
    const key = [q, network, scenario].join("\n");
    if (key === applied) return;
    applied = key;
    const asked = query.parse(q);
    const all = asked.empty && !network && !scenario;
    const wanted = all ? null : new Set();
    if (!all) {
      cells.forEach((cell, index) => {
        if ((!network || cell.network === network) && (!scenario || cell.scenario === scenario) && asked.matches(cell, cells)) wanted.add(index);
      });
    }
    squares.show(wanted, cells);
    for (const { row, indices } of lines) row.hidden = wanted !== null && !indices.some((index) => wanted.has(index));
    for (const mode of modes) mode.details.hidden = wanted !== null && mode.lines.every(({ row }) => row.hidden);
    for (const section of runtimes) section.hidden = wanted !== null && ![...section.querySelectorAll(".block")].some((block) => !block.hidden);
    for (const ways of document.querySelectorAll(".ways")) ways.hidden = [...ways.querySelectorAll("details.mode")].every((details) => details.hidden);
    found.textContent = [...asked.problems, all ? `${plural(cells.length, "cell")}.` : `${wanted.size} of ${plural(cells.length, "cell")}.`].join(" ");
    results.hidden = all || wanted.size === 0;
    if (!results.hidden) list(wanted);
  };

  const open = (id) => {
    const index = byId.get(id);
    if (index === undefined) {
      found.textContent = `This report has no cell ${id}.`;
      return;
    }
    const cell = embedded.cell(index);
    const close = element("button", "Close", { type: "button", "aria-label": "Close the cell" });
    close.addEventListener("click", () => dialog.close());
    const neighbours = squares.sameSquare(cell).filter((other) => other !== index);
    const item = (other, text) => element("li", [
      element("a", text, { href: address({ cell: cells[other].id }) }), " ", ...shown(cells[other]).flatMap((name) => [badge(name), " "])]);
    const alike = ["runtime", "mode", "network", "scenario"];
    const releases = [...cells.keys()].filter((other) => other !== index && alike.every((field) => cells[other][field] === cells[index][field])).slice(0, LISTED);
    const recipe = document.getElementById(`recipe/${cell.runtime}`);
    const nav = (title, items) => (items.length ? [element("nav", [element("h3", title), element("ul", items)], { "aria-label": title })] : []);
    dialog.replaceChildren(
      element("header", [element("h2", cell.id, { id: "cell-id", tabindex: "-1" }), close]),
      element("p", shown(cell).flatMap((name) => [badge(name), " "])),
      ...panel.of(cell),
      ...nav("Other cells of this square", neighbours.map((other) => item(other, `${cells[other].scenario}, ${cells[other].network}`))),
      ...nav("The same in other releases", releases.map((other) => item(other, cells[other].release + (cells[other].variant === "plain" ? "" : `+${cells[other].variant}`)))),
      ...(recipe ? [element("p", element("a", "The calls that leave the network as it was: recipes", { href: `#recipe/${cell.runtime}` }))] : []),
    );
    if (!dialog.open) dialog.showModal();
    dialog.scrollTop = 0;
    document.getElementById("cell-id").focus();
  };

  const reveal = (hash) => {
    let name = hash.slice(1);
    if (!document.getElementById(name)) try { name = decodeURIComponent(name); } catch (problem) { /* not percent-encoded */ }
    const target = name && document.getElementById(name);
    if (!target) return;
    for (let node = target; node; node = node.parentElement) if (node.tagName === "DETAILS") node.open = true;
    if (target.dataset.c !== undefined) return location.replace(address({ cell: cells[Number(target.dataset.c)].id }));
    if (dialog.open) dialog.close();
    target.scrollIntoView({ block: "start" });
  };

  const follow = () => {
    if (location.hash.startsWith("#?") || location.hash === "") {
      const words = state();
      for (const field of fields) field.value = words.get(field.id) || "";
      filter();
      if (words.get("cell")) open(words.get("cell"));
      else if (dialog.open) dialog.close();
    } else {
      filter();
      reveal(location.hash);
    }
  };

  const typed = () => {
    history.replaceState(null, "", address(Object.fromEntries(fields.map((field) => [field.id, field.value.trim()]))));
    filter();
  };
  for (const field of fields) field.addEventListener("input", typed);
  document.getElementById("clear").addEventListener("click", () => { for (const field of fields) field.value = ""; typed(); });
  document.getElementById("share").addEventListener("click", (event) => copyText(location.href, event.target));
  dialog.addEventListener("close", () => { if (state().get("cell")) history.pushState(null, "", address({ cell: "" })); });
  dialog.addEventListener("click", (event) => { if (event.target === dialog) dialog.close(); });
  document.addEventListener("keydown", (event) => {
    if (event.key === "/" && !event.target.closest("input, select, textarea, dialog")) { event.preventDefault(); fields[0].focus(); }
  });
  // Arrows move the focus between the squares of a table, past empty ones and folded rows and columns.
  const STEPS = { ArrowLeft: [0, -1], ArrowRight: [0, 1], ArrowUp: [-1, 0], ArrowDown: [1, 0] };
  document.addEventListener("keydown", (event) => {
    const td = event.target.closest("table.matrix td"), step = STEPS[event.key];
    if (!td || !step || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    const rows = [...td.closest("table").querySelectorAll("tr[data-mode]")];
    let [row, column] = [rows.indexOf(td.parentElement), td.cellIndex];
    for (;;) {
      [row, column] = [row + step[0], column + step[1]];
      const next = rows[row] && column > 0 && rows[row].cells[column];
      if (!next) return;
      const link = next.querySelector("a");
      if (link && next.offsetParent) return link.focus();
    }
  });
  document.addEventListener("click", (event) => {
    const square = event.target.closest("table.matrix td > a"), member = event.target.closest("a[data-c]");
    const index = square ? square.parentElement.dataset.worst : member ? member.dataset.c : "";
    if (index === "" || index === undefined || event.ctrlKey || event.metaKey || event.shiftKey) return;
    event.preventDefault();
    location.hash = address({ cell: cells[Number(index)].id });
  });
  // Print opens folded sections, except the cells' numbers, which would fill many pages.
  const folded = () => [...document.querySelectorAll("main details:not([open])")].filter((details) => !details.closest(".ways, .environments"));
  let unfolded = [];
  addEventListener("beforeprint", () => { unfolded = folded(); for (const details of unfolded) details.open = true; });
  addEventListener("afterprint", () => { for (const details of unfolded) details.open = false; });
  addEventListener("hashchange", follow);
  search.hidden = false;
  follow();
  document.documentElement.dataset.ready = "yes";
})();
