"use strict";
// The cells' data, unpacked from the page: base64 of gzip of JSON, with shared values stored once.
const embedded = {
  data: null,
  cells: [],

  async load() {
    const letters = atob(document.getElementById("cells").textContent.trim()), packed = new Uint8Array(letters.length);
    for (let at = 0; at < letters.length; at += 1) packed[at] = letters.charCodeAt(at);
    const stream = new Blob([packed]).stream().pipeThrough(new DecompressionStream("gzip"));
    const data = JSON.parse(await new Response(stream).text());
    // A cell of the search reads its fields when they are asked for: copies of all would take long.
    class Cell { constructor(row) { this.row = row; } }
    data.fields.forEach((field, slot) => Object.defineProperty(Cell.prototype, field, { get() { return data.values[this.row[slot]]; } }));
    this.data = data;
    this.cells = data.cells.map((row) => new Cell(row));
    this.columns = new Map();
  },

  // The distinct values of a field, and the place of each cell's value among them.
  column(field) {
    if (!this.columns.has(field)) {
      const slot = this.data.fields.indexOf(field), places = new Uint32Array(this.cells.length), values = [], known = new Map();
      this.data.cells.forEach((row, index) => {
        if (!known.has(row[slot])) known.set(row[slot], values.push(this.data.values[row[slot]]) - 1);
        places[index] = known.get(row[slot]);
      });
      this.columns.set(field, { places, values });
    }
    return this.columns.get(field);
  },

  // Returns a predicate on indices of cells. Cells share most values: each is tested once.
  where(field, test) {
    const { places, values } = this.column(field), passed = values.map(test);
    return (index) => passed[places[index]];
  },

  // All of a cell, with its evidence and its script.
  whole(index) {
    const cell = Object.fromEntries(this.data.fields.map((field) => [field, this.cells[index][field]]));
    const unpack = (places) => Object.fromEntries(this.data.evidence.map((field, at) => [field, this.data.values[places[at]]]));
    return { ...cell, evidence: cell.evidence.map(unpack), script: cell.script.map((piece) => this.data.values[piece]).join("") };
  },
};

const vocabulary = JSON.parse(document.getElementById("vocabulary").textContent);
vocabulary.rank = Object.fromEntries([...vocabulary.findings, ...vocabulary.statuses].map(([name], rank) => [name, rank]));
vocabulary.letter = Object.fromEntries([...vocabulary.findings, ...vocabulary.statuses].map(([name, letter]) => [name, letter]));
vocabulary.tone = Object.fromEntries(vocabulary.findings.map(([name, , tone]) => [name, tone]));
vocabulary.meaning = Object.fromEntries(vocabulary.findings.map(([name, , , meaning]) => [name, meaning]));
vocabulary.remedy = Object.fromEntries(vocabulary.findings.map(([name, , , , remedy]) => [name, remedy]));
const worstFirst = (names) => [...new Set(names)].sort((one, other) => (vocabulary.rank[one] ?? -1) - (vocabulary.rank[other] ?? -1));
