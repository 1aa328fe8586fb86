"use strict";
// The search syntax: converts text to a predicate on the indices of cells.
const query = (() => {
  const FIELDS = ["runtime", "release", "variant", "mode", "network", "scenario", "finding", "status", "intent", "asks", "changed", "is"];
  const MOVES = ["leak", "state-moved"];

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

  // Whether measured cells of the same mode have different findings.
  const different = () => {
    const columns = ["runtime", "variant", "mode", "scenario"].map((field) => embedded.column(field));
    const group = (index) => columns.reduce((key, { places, values }) => key * values.length + places[index], 0);
    const findings = embedded.column("findings"), first = new Map(), mixed = new Set();
    const measured = (index) => findings.values[findings.places[index]].length > 0;
    for (const index of findings.places.keys()) {
      if (!measured(index)) continue;
      const key = group(index);
      if (!first.has(key)) first.set(key, findings.places[index]);
      else if (first.get(key) !== findings.places[index]) mixed.add(key);
    }
    return (index) => measured(index) && mixed.has(group(index));
  };

  const undocumented = () => {
    const moved = embedded.where("findings", (names) => names.some((name) => MOVES.includes(name)));
    const unsaid = embedded.where("contract", (contract) => contract.statistics !== "move");
    return (index) => moved(index) && unsaid(index);
  };

  const against = (kind) => () => embedded.where("expectation", (expectation) => expectation[0] === kind);

  const IS = {
    undocumented,
    contradicted: () => embedded.where("contradicts", (value) => value === true),
    different,
    default: () => embedded.where("default_call", (value) => value),
    unexpected: against("unexpected"),
    fixed: against("fixed"),
    expected: against("expected"),
  };

  const within = (range) => {
    const [first, last] = range.split("..");
    return (release) => (!first || compare(release, first) >= 0) && (!last || compare(release, last) <= 0);
  };

  const test = (key, value) => {
    if (key === "is") return IS[value]();
    if (key === "release" && value.includes("..")) return embedded.where("release", within(value));
    const pattern = glob(value);
    if (key === "finding") return embedded.where("findings", (names) => names.some((name) => pattern.test(name)));
    return embedded.where(key === "changed" ? "change" : key, (text) => pattern.test(text));
  };

  const TEXTS = {
    id: (id) => id,
    call: (call) => call,
    reason: (reason) => reason || "",
    findings: (names) => names.join(" "),
    contract: (contract) => contract.says || "",
  };
  const text = (word) => {
    const wanted = word.toLowerCase();
    const any = Object.entries(TEXTS).map(([field, words]) => embedded.where(field, (value) => words(value).toLowerCase().includes(wanted)));
    return (index) => any.some((one) => one(index));
  };

  // Returns {terms, problems}: a term is a predicate on indices of cells, all of which must match; a problem is a message about an invalid term.
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
        matches = (index) => any.some((one) => one(index));
      } else {
        if (/^[a-z]+$/.test(key)) problems.push(`${key}: is not a field and is searched as text; fields: ${FIELDS.join(":, ")}:.`);
        matches = text(bare(body));
      }
      terms.push(negative ? (index) => !matches(index) : matches);
    }
    return { terms, problems };
  };

  return { parse };
})();
