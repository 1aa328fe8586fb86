"use strict";
// The tables of modes x releases: contents of squares for the cells that match a search; columns and rows with equal
// squares are folded.
const squares = (() => {
  const MARK = { against: "!", silent: "?" };
  const EXPECTATIONS = ["unexpected", "fixed", "expected"];
  const tables = [];
  let byPlace = null;

  const find = (cells) => {
    byPlace = new Map();
    cells.forEach((cell, index) => {
      const key = [cell.runtime, cell.variant, cell.mode, cell.release].join("\n");
      if (!byPlace.has(key)) byPlace.set(key, []);
      byPlace.get(key).push(index);
    });
    for (const matrix of document.querySelectorAll("table.matrix")) {
      const { runtime, variant } = matrix.dataset;
      const heads = [...matrix.querySelectorAll("th.release")];
      const rows = [...matrix.querySelectorAll("tr[data-mode]")].map((tr) => {
        const tds = [...tr.querySelectorAll("td")];
        const more = element("button", "", { type: "button", class: "alike", "aria-expanded": "false" });
        tr.querySelector("th").append(more);
        return { tr, tds, more, squares: tds.map((td, at) => ({
          td, looks: td.className, content: [...td.childNodes],
          cells: byPlace.get([runtime, variant, tr.dataset.mode, heads[at].dataset.release].join("\n")) || [] })) };
      });
      const button = element("button", "", { type: "button", "aria-pressed": "false" });
      const made = { matrix, heads, rows, button, expanded: false, shown: new Set() };
      for (const row of rows) row.more.addEventListener("click", () => {
        if (!made.shown.delete(row)) made.shown.add(row);
        fold(made);
      });
      button.addEventListener("click", () => { made.expanded = !made.expanded; collapse(made); });
      matrix.closest(".scroll").before(button);
      tables.push(made);
    }
  };

  const looksOf = (here) => {
    const asked = here.filter((cell) => cell.status !== "not-in-release");
    if (!here.length) return ["blank", "", "", ""];
    if (!asked.length) return ["absent", "–", "not in this release", ""];
    const measured = asked.filter((cell) => cell.status === "ok" || cell.status === "crashed");
    const counts = {};
    for (const cell of asked) for (const name of cell.findings) counts[name] = (counts[name] || 0) + 1;
    const found = worstFirst(Object.keys(counts));
    const title = found.map((name) => `${name} in ${counts[name]} of ${measured.length} measured cells`).join("; ");
    if (!found.length) {
      const statuses = worstFirst(asked.map((cell) => cell.status));
      const first = statuses.filter((name) => name !== "ok")[0] || "ok";
      return ["t-unmeasured", vocabulary.letter[first] || "?", `${first}: ${asked.length} cells`, ""];
    }
    const names = found.filter((name) => name !== "clean").length ? found.filter((name) => name !== "clean") : ["clean"];
    const moved = measured.filter((cell) => cell.findings.includes("leak") || cell.findings.includes("state-moved"));
    const said = measured.some((cell) => cell.contradicts) ? "against" : !moved.length ? "" : moved.every((cell) => cell.contract.statistics === "move") ? "documented" : "silent";
    const tone = names[0] === "leak" && said === "documented" ? "documented" : vocabulary.tone[names[0]];
    const failed = worstFirst(asked.map((cell) => cell.status).filter((name) => name !== "ok"));
    const letters = [...names.slice(0, vocabulary.letters), ...failed].map((name) => vocabulary.letter[name]);
    return [`t-${names[0] === "clean" && failed.length ? "mixed" : tone}`, letters, title + vocabulary.documentation[said], MARK[said] || ""];
  };

  const expectationOf = (here) => EXPECTATIONS.find((kind) => here.some((cell) => cell.expectation[0] === kind));

  const worst = (indices, cells) => indices.reduce((best, index) => {
    const rank = (at) => (cells[at].status === "not-in-release" ? 99 : cells[at].findings.length ? vocabulary.rank[worstFirst(cells[at].findings)[0]] : 50);
    return best === null || rank(index) < rank(best) ? index : best;
  }, null);

  const draw = (square, wanted, cells) => {
    const { td } = square;
    const left = wanted ? square.cells.filter((index) => wanted.has(index)) : square.cells;
    td.dataset.worst = left.length ? worst(left, cells) : "";
    if (!wanted) {
      if (td.dataset.filtered) { td.className = square.looks; td.replaceChildren(...square.content); delete td.dataset.filtered; }
      return left.length > 0;
    }
    const here = left.map((index) => cells[index]);
    const [looks, letters, title, mark] = looksOf(here);
    const expectation = expectationOf(here);
    td.className = expectation ? `${looks} x-${expectation}` : looks;
    td.dataset.filtered = "yes";
    if (looks === "blank") td.replaceChildren();
    else if (looks === "absent") td.replaceChildren(element("span", letters, { title }));
    else {
      const inner = [letters[0], ...(letters.length > 1 ? [element("small", letters.slice(1).join(""))] : []), ...(mark ? [element("b", mark)] : [])];
      td.replaceChildren(element("a", inner, { href: "#", title, "data-square": "" }));
    }
    return left.length > 0 && looks !== "absent";
  };

  // Releases with the same squares as the next one share its column until the user expands them.
  const collapse = (made) => {
    const rows = made.rows.filter((row) => !row.tr.hidden);
    const look = (at) => rows.map(({ tds }) => `${tds[at].className} ${tds[at].textContent}`).join("\n");
    const looks = made.heads.map((_, at) => look(at));
    let first = 0, spared = 0;
    made.heads.forEach((head, at) => {
      const alike = at + 1 < looks.length && looks[at] === looks[at + 1];
      const hide = alike && !made.expanded;
      spared += alike ? 1 : 0;
      head.classList.toggle("folded", hide);
      for (const { tds } of made.rows) tds[at].classList.toggle("folded", hide);
      const many = at - first + 1;
      head.querySelector(".range").textContent = many > 1 && !alike && !made.expanded ? `${made.heads[first].dataset.release} to ` : "";
      if (!alike) first = at + 1;
    });
    made.button.hidden = spared === 0;
    made.button.setAttribute("aria-pressed", String(made.expanded));
    made.button.textContent = made.expanded ? "Fold equal releases" : `Show every release (${spared} folded)`;
  };

  // Rows with the same squares as the one above them are folded under it.
  const fold = (made) => {
    const look = ({ tds }) => tds.map((td) => `${td.className} ${td.textContent}`).join("\n");
    let head = null, alike = [];
    const finish = () => {
      if (!head) return;
      const open = made.shown.has(head);
      head.more.hidden = alike.length === 0;
      head.more.textContent = open ? "fold" : `+${alike.length} alike`;
      head.more.setAttribute("aria-expanded", String(open));
      head.more.setAttribute("aria-label", `${open ? "Fold" : "Show"} ${plural(alike.length, "way")} with the same squares as ${head.tr.dataset.mode}`);
      for (const row of alike) { row.tr.classList.toggle("folded", !open); row.more.hidden = true; }
    };
    for (const row of made.rows) {
      if (row.tr.hidden) { row.more.hidden = true; continue; }
      const beside = head && head.tr.parentElement === row.tr.parentElement && head.tr.dataset.api === row.tr.dataset.api;
      const same = beside && look(head) === look(row);
      if (same) { alike.push(row); continue; }
      finish();
      row.tr.classList.remove("folded");
      head = row; alike = [];
    }
    finish();
    for (const title of made.matrix.querySelectorAll("tr.api")) {
      let next = title.nextElementSibling, any = false;
      for (; next && !next.classList.contains("api"); next = next.nextElementSibling) any = any || !next.hidden;
      title.hidden = !any;
    }
  };

  // wanted: the indices of the matching cells, or null for all.
  const show = (wanted, cells) => {
    for (const made of tables) {
      let any = false;
      for (const row of made.rows) {
        let here = false;
        for (const square of row.squares) here = draw(square, wanted, cells) || here;
        row.tr.hidden = wanted !== null && !here;
        any = any || here;
      }
      for (const body of made.matrix.tBodies) body.hidden = wanted !== null && ![...body.querySelectorAll("tr[data-mode]")].some((tr) => !tr.hidden);
      const block = made.matrix.closest(".block");
      block.hidden = wanted !== null && !any;
      collapse(made);
      fold(made);
    }
  };

  const sameSquare = (cell) => byPlace.get([cell.runtime, cell.variant, cell.mode, cell.release].join("\n")) || [];

  return { find, show, sameSquare };
})();
