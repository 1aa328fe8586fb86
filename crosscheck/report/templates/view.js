"use strict";
// The view state: the search and the open cell. It is stored in the fragment after "#?", so that links restore it.
(async () => {
  const search = document.getElementById("search"), dialog = document.getElementById("cell");
  const fields = ["q", "network", "scenario"].map((name) => document.getElementById(name));
  const found = document.getElementById("found"), results = document.getElementById("results");
  const LISTED = 40;

  try {
    await embedded.load();
  } catch (problem) {
    search.hidden = false;
    found.textContent = `The cells could not be unpacked (${problem.message}): this browser may be too old. The tables still work.`;
    return;
  }
  const { cells } = embedded;
  const byId = new Map(cells.map((cell, index) => [cell.id, index]));
  squares.find();

  const lines = [];
  for (const anchor of document.querySelectorAll("a[data-c]")) {
    const row = anchor.closest("tr");
    if (!lines.length || lines.at(-1).row !== row) lines.push({ row, indices: [] });
    lines.at(-1).indices.push(Number(anchor.dataset.c));
  }
  const ways = [...document.querySelectorAll(".ways")].map((node) => ({
    node, modes: [...node.querySelectorAll("details.mode")].map((details) => ({ details, lines: lines.filter(({ row }) => details.contains(row)) })) }));
  const part = document.getElementById("ways").closest("details");
  const modeOf = new Map(ways.flatMap(({ modes }) => modes.map((mode) => [mode.details, mode])));
  const runtimes = [...document.querySelectorAll("section.runtime")];

  const state = () => new URLSearchParams(location.hash.startsWith("#?") ? location.hash.slice(2) : "");
  const address = (changes) => {
    const words = state();
    for (const [key, value] of Object.entries(changes)) value ? words.set(key, value) : words.delete(key);
    return words.size ? `#?${words}` : "#";
  };

  const list = (indices) => {
    const item = (index) => {
      const cell = cells[index];
      return element("li", [element("a", cell.id, { href: address({ cell: cell.id }) }), " ", ...shown(cell).flatMap((name) => [badge(name), " "])]);
    };
    const rest = indices.length - LISTED;
    results.replaceChildren(element("ol", indices.slice(0, LISTED).map(item)), ...(rest > 0 ? [element("p", `and ${plural(rest, "more cell")}, shown in the tables below.`, { class: "aside" })] : []));
  };

  let applied = null, wanted = null;
  const matches = ({ indices }) => wanted === null || indices.some((index) => wanted[index]);
  // Details that are closed stay as they are until they are opened: they have thousands of lines.
  const siftLines = ({ details, lines }) => { if (details.open) for (const line of lines) hide(line.row, !matches(line)); };
  const siftWays = () => {
    for (const { node, modes } of ways) {
      for (const mode of modes) {
        hide(mode.details, wanted !== null && !mode.lines.some(matches));
        siftLines(mode);
      }
      hide(node, modes.every(({ details }) => details.hidden));
    }
  };
  // Said where nothing is found: a runtime that is missing was not asked about.
  const measured = `Runtimes of this report: ${embedded.column("runtime").values.join(", ")}.`;
  const filter = () => {
    const [q, network, scenario] = fields.map((field) => field.value.trim());
    const key = [q, network, scenario].join("\n");
    if (key === applied) return;
    applied = key;
    const asked = query.parse(q);
    const all = !asked.terms.length && !network && !scenario;
    const chosen = [["network", network], ["scenario", scenario]].filter(([, name]) => name).map(([field, name]) => embedded.where(field, (value) => value === name));
    const tests = [...chosen, ...asked.terms], indices = [];
    wanted = all ? null : new Uint8Array(cells.length);
    for (let index = 0; !all && index < cells.length; index += 1) {
      if (tests.some((one) => !one(index))) continue;
      wanted[index] = 1;
      indices.push(index);
    }
    squares.show(wanted);
    if (part.open) siftWays();
    for (const section of runtimes) hide(section, wanted !== null && ![...section.querySelectorAll(".block")].some((block) => !block.hidden));
    write(found, [...asked.problems, all ? `${plural(cells.length, "cell")}.` : `${indices.length} of ${plural(cells.length, "cell")}.`, ...(all || indices.length ? [] : [measured])].join(" "));
    hide(results, indices.length === 0);
    if (!results.hidden) list(indices);
  };

  const open = (id) => {
    const index = byId.get(id);
    if (index === undefined) {
      found.textContent = `This report has no cell ${id}.`;
      return;
    }
    const cell = embedded.whole(index);
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
    if (part.contains(target)) siftWays();
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
    const index = square ? squares.worst(square.parentElement) : member ? Number(member.dataset.c) : undefined;
    if (index === undefined || event.ctrlKey || event.metaKey || event.shiftKey) return;
    event.preventDefault();
    location.hash = address({ cell: cells[index].id });
  });
  document.addEventListener("toggle", ({ target }) => {
    if (target === part && part.open) siftWays();
    else if (modeOf.has(target)) siftLines(modeOf.get(target));
  }, true);
  // Print opens folded sections, except the cells' numbers, which would fill many pages.
  const folded = () => [...document.querySelectorAll("main details:not([open])")].filter((details) => !details.closest(".ways, .environments"));
  let unfolded = [];
  addEventListener("beforeprint", () => { siftWays(); unfolded = folded(); for (const details of unfolded) details.open = true; });
  addEventListener("afterprint", () => { for (const details of unfolded) details.open = false; });
  addEventListener("hashchange", follow);
  search.hidden = false;
  follow();
  document.documentElement.dataset.ready = "yes";
})();
