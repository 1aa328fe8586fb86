"use strict";
// The search syntax: converts text to a predicate on cells.
const query = (() => {
  const FIELDS = ["runtime", "release", "variant", "mode", "network", "scenario", "finding", "status", "intent", "asks", "changed", "is"];
  const MOVES = ["leak", "state-moved"];
  let different = null;

  const escaped = (text) => text.replace(/[.*+?^${}()|[\]\\]/g, "\\$&");
  const glob = (text) => new RegExp("^" + text.split("*").map(escaped).join(".*") + "$", "i");

  // Numbers compare by size, words as text; a pre-release precedes its release: 1.0rc1 < 1.0 < 1.0.post1.
  const parts = (release) => release.split(/[.+-]/).flatMap((part) => part.match(/\d+|[a-z]+/gi) || []);
  const weigh = (part) => (part === undefined ? [1, 0, ""] : /^\d/.test(part) ? [2, Number(part), ""] : part === "post" ? [3, 0, part] : [0, 0, part]);
  const compare = (one, other) => {
    const left = parts(one), right = parts(other);
    for (let at = 0; at < Math.max(left.length, right.length); at += 1) {
      const [first, second] = [weigh(left[at]), weigh(right[at])];
      for (const slot of [0, 1, 2]) if (first[slot] !== second[slot]) return first[slot] < second[slot] ? -1 : 1;
    }
    return 0;
  };

  const undocumented = (cell) => cell.findings.some((name) => MOVES.includes(name)) && cell.contract.statistics !== "move";

  // Whether measured cells of the same mode have different findings.
  const findDifferent = (cells) => {
    const groups = new Map();
    for (const cell of cells) {
      if (!cell.findings.length) continue;
      const key = [cell.runtime, cell.variant, cell.mode, cell.scenario].join("\n");
      if (!groups.has(key)) groups.set(key, new Set());
      groups.get(key).add(cell.findings.join());
    }
    return new Set([...groups].filter(([, shown]) => shown.size > 1).map(([key]) => key));
  };

  const IS = {
    undocumented,
    contradicted: (cell) => cell.contradicts === true,
    different: (cell, cells) => {
      different = different || findDifferent(cells);
      return cell.findings.length > 0 && different.has([cell.runtime, cell.variant, cell.mode, cell.scenario].join("\n"));
    },
    default: (cell) => cell.default_call,
    unexpected: (cell) => cell.expectation[0] === "unexpected",
    fixed: (cell) => cell.expectation[0] === "fixed",
    expected: (cell) => cell.expectation[0] === "expected",
  };

  // Many cells share a release: compare each release once.
  const within = (range) => {
    const [first, last] = range.split("..");
    const known = new Map();
    return ({ release }) => {
      if (!known.has(release)) known.set(release, (!first || compare(release, first) >= 0) && (!last || compare(release, last) <= 0));
      return known.get(release);
    };
  };

  const test = (key, value) => {
    if (key === "is") return IS[value];
    if (key === "release" && value.includes("..")) return within(value);
    const pattern = glob(value);
    if (key === "finding") return (cell) => cell.findings.some((name) => pattern.test(name));
    if (key === "changed") return (cell) => pattern.test(cell.change);
    return (cell) => pattern.test(cell[key]);
  };

  const text = (word) => {
    const wanted = word.toLowerCase();
    return (cell) => {
      cell.text = cell.text || [cell.id, cell.call, cell.reason || "", cell.findings.join(" "), cell.contract.says].join("\n").toLowerCase();
      return cell.text.includes(wanted);
    };
  };

  // Returns {matches(cell, cells), problems, empty}; a problem is a message about an invalid term.
  const parse = (source) => {
    const terms = [], problems = [];
    for (const token of source.match(/-?(?:[a-z]+:)?"[^"]*"?|\S+/gi) || []) {
      const negative = token.length > 1 && token.startsWith("-");
      const body = negative ? token.slice(1) : token;
      const colon = body.indexOf(":");
      const key = colon > 0 ? body.slice(0, colon).toLowerCase() : "";
      const bare = (part) => part.replace(/^"|"$/g, "");
      let matches;
      if (FIELDS.includes(key)) {
        const values = bare(body.slice(colon + 1)).split(",").filter(Boolean).map((value) => (key === "is" ? value.toLowerCase() : value));
        const unknown = key === "is" ? values.filter((value) => !Object.hasOwn(IS, value)) : [];
        if (unknown.length) problems.push(`is:${unknown[0]} is unknown; known: ${Object.keys(IS).map((name) => `is:${name}`).join(", ")}.`);
        const any = values.filter((value) => !unknown.includes(value)).map((value) => test(key, value));
        if (!any.length) continue;
        matches = (cell, cells) => any.some((one) => one(cell, cells));
      } else {
        if (/^[a-z]+$/.test(key)) problems.push(`${key}: is not a field and is searched as text; fields: ${FIELDS.join(":, ")}:.`);
        matches = text(bare(body));
      }
      terms.push(negative ? (cell, cells) => !matches(cell, cells) : matches);
    }
    return { problems, empty: terms.length === 0, matches: (cell, cells) => terms.every((term) => term(cell, cells)) };
  };

  return { parse };
})();
