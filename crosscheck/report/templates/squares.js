"use strict";
// The tables of modes x releases: contents of squares for the cells that match a search; columns and rows with equal
// squares are folded.
const squares = (() => {
  const MARK = { against: "!", silent: "?" };
  const EXPECTATIONS = ["unexpected", "fixed", "expected"];
  const tables = [], squareOf = new Map();
  let cells = [], byPlace = null, wanted = null;  // wanted: one flag a cell, or null for all

  const find = () => {
    cells = embedded.cells;
    sort();
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
        const more = element("button", "", { type: "button", class: "alike", "aria-expanded": "false" });
        const squares = [...tr.querySelectorAll("td")].map((td, at) => written(td, byPlace.get([runtime, variant, tr.dataset.mode, heads[at].dataset.release].join("\n")) || []));
        tr.querySelector("th").append(more);
        return { tr, more, squares };
      });
      const button = element("button", "", { type: "button", "aria-pressed": "false" });
      const made = { matrix, heads, rows, button, expanded: false, shown: new Set(), folded: heads.map(() => false) };
      for (const row of rows) row.more.addEventListener("click", () => {
        if (!made.shown.delete(row)) made.shown.add(row);
        fold(made);
      });
      button.addEventListener("click", () => { made.expanded = !made.expanded; collapse(made); });
      matrix.closest(".scroll").before(button);
      tables.push(made);
    }
  };

  // Squares with the same `looks` fold. `next` is what the search asks for, `drawn` what the document has: changing the
  // document costs far more than deciding what to change.
  const written = (td, members) => {
    const page = { name: td.className, looks: `${td.className} ${td.textContent}`, content: [...td.childNodes] };
    const square = { td, members, page, next: page, drawn: page, noted: td.querySelector("sup") !== null };
    squareOf.set(td, square);
    return square;
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

  const BLANK = { name: "blank", looks: "blank ", content: [] };

  const searched = (here) => {
    const [looks, letters, title, mark] = looksOf(here);
    const expectation = expectationOf(here), name = expectation ? `${looks} x-${expectation}` : looks;
    const inner = [letters[0], ...(letters.length > 1 ? [element("small", letters.slice(1).join(""))] : []), ...(mark ? [element("b", mark)] : [])];
    const content = looks === "absent" ? element("span", letters, { title }) : element("a", inner, { href: "#", title });
    return { name, looks: `${name} ${content.textContent}`, content: [content] };
  };

  // A square shows these fields of its cells. Cells with equal ones are of one kind, and squares of equal kinds look the same.
  const SHOWN = ["status", "findings", "contradicts", "contract", "expectation"];
  const contents = new Map();
  let kinds = [];
  const sort = () => {
    const columns = SHOWN.map((field) => embedded.column(field).places), numbers = new Map();
    kinds = cells.map((_, index) => {
      const key = columns.map((places) => places[index]).join();
      if (!numbers.has(key)) numbers.set(key, numbers.size);
      return numbers.get(key);
    });
  };

  const left = ({ members }) => (wanted ? members.filter((index) => wanted[index]) : members);

  // Whether the search found anything in the square.
  const decide = (square) => {
    const indices = left(square);
    // Footnotes are numbered for all cells.
    if (!wanted || (indices.length === square.members.length && !square.noted)) square.next = square.page;
    else if (!indices.length) square.next = BLANK;
    else {
      const key = indices.map((index) => kinds[index]).join();
      if (!contents.has(key)) contents.set(key, searched(indices.map((index) => cells[index])));
      square.next = contents.get(key);
    }
    return indices.length > 0 && (!wanted || square.next.name !== "absent");
  };

  const draw = (square, folded) => {
    const { td, page, next, drawn } = square;
    if (next === drawn) return;
    square.drawn = next;
    if (next.name !== drawn.name) td.className = folded ? `${next.name} folded` : next.name;
    td.replaceChildren(...(next === page ? page.content : next.content.map((node) => node.cloneNode(true))));
  };

  // Releases with the same squares as the next one share its column until the user expands them.
  const collapse = (made) => {
    const rows = made.rows.filter((row) => !row.tr.hidden);
    const looks = made.heads.map((_, at) => rows.map(({ squares }) => squares[at].next.looks).join("\n"));
    let first = 0, spared = 0;
    made.heads.forEach((head, at) => {
      const alike = at + 1 < looks.length && looks[at] === looks[at + 1];
      const hide = alike && !made.expanded;
      spared += alike ? 1 : 0;
      if (hide !== made.folded[at]) {
        made.folded[at] = hide;
        head.classList.toggle("folded", hide);
        for (const { squares } of made.rows) squares[at].td.classList.toggle("folded", hide);
      }
      const many = at - first + 1;
      write(head.querySelector(".range"), many > 1 && !alike && !made.expanded ? `${made.heads[first].dataset.release} to ` : "");
      if (!alike) first = at + 1;
    });
    hide(made.button, spared === 0);
    made.button.setAttribute("aria-pressed", String(made.expanded));
    write(made.button, made.expanded ? "Fold equal releases" : `Show every release (${spared} folded)`);
  };

  // Rows with the same squares as the one above them are folded under it.
  const fold = (made) => {
    const look = ({ squares }) => squares.map(({ next }) => next.looks).join("\n");
    let head = null, alike = [];
    const finish = () => {
      if (!head) return;
      const open = made.shown.has(head);
      hide(head.more, alike.length === 0);
      if (alike.length) {
        write(head.more, open ? "fold" : `+${alike.length} alike`);
        head.more.setAttribute("aria-expanded", String(open));
        head.more.setAttribute("aria-label", `${open ? "Fold" : "Show"} ${plural(alike.length, "way")} with the same squares as ${head.tr.dataset.mode}`);
      }
      for (const row of alike) { row.tr.classList.toggle("folded", !open); hide(row.more, true); }
    };
    for (const row of made.rows) {
      if (row.tr.hidden) { hide(row.more, true); continue; }
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
      hide(title, !any);
    }
  };

  // flags: one a cell, true for those that match, or null for all.
  const show = (flags) => {
    wanted = flags;
    for (const made of tables) {
      for (const { tr, squares } of made.rows) hide(tr, squares.map(decide).every((any) => !any) && wanted !== null);
      for (const body of made.matrix.tBodies) hide(body, [...body.querySelectorAll("tr[data-mode]")].every((tr) => tr.hidden));
      const rows = made.rows.filter(({ tr }) => !tr.hidden);
      hide(made.matrix.closest(".block"), rows.length === 0);
      collapse(made);
      fold(made);
      for (const { squares } of rows) squares.forEach((square, at) => draw(square, made.folded[at]));
    }
  };

  const worst = (td) => {
    const rank = (at) => (cells[at].status === "not-in-release" ? 99 : cells[at].findings.length ? vocabulary.rank[worstFirst(cells[at].findings)[0]] : 50);
    return left(squareOf.get(td)).reduce((best, index) => (best === undefined || rank(index) < rank(best) ? index : best), undefined);
  };

  const sameSquare = (cell) => byPlace.get([cell.runtime, cell.variant, cell.mode, cell.release].join("\n")) || [];

  return { find, show, worst, sameSquare };
})();
