"use strict";
// The cells' data, unpacked from the page: base64 of gzip of JSON, with shared values stored once.
const embedded = {
  data: null,

  async load() {
    const packed = Uint8Array.from(atob(document.getElementById("cells").textContent.trim()), (letter) => letter.charCodeAt(0));
    const stream = new Blob([packed]).stream().pipeThrough(new DecompressionStream("gzip"));
    this.data = JSON.parse(await new Response(stream).text());
    this.place = Object.fromEntries(this.data.fields.map((field, at) => [field, at]));
  },

  get count() { return this.data.cells.length; },

  field(index, name) { return this.data.values[this.data.cells[index][this.place[name]]]; },

  cell(index) {
    const cell = Object.fromEntries(this.data.fields.map((field) => [field, this.field(index, field)]));
    const unpack = (places) => Object.fromEntries(this.data.evidence.map((field, at) => [field, this.data.values[places[at]]]));
    return { ...cell, evidence: cell.evidence.map(unpack), script: cell.script.map((piece) => this.data.values[piece]).join("") };
  },
};

const vocabulary = JSON.parse(document.getElementById("vocabulary").textContent);
vocabulary.rank = Object.fromEntries([...vocabulary.findings, ...vocabulary.statuses].map(([name], rank) => [name, rank]));
vocabulary.letter = Object.fromEntries([...vocabulary.findings, ...vocabulary.statuses].map(([name, letter]) => [name, letter]));
vocabulary.tone = Object.fromEntries(vocabulary.findings.map(([name, , tone]) => [name, tone]));
vocabulary.meaning = Object.fromEntries(vocabulary.findings.map(([name, , , meaning]) => [name, meaning]));
const worstFirst = (names) => [...new Set(names)].sort((one, other) => (vocabulary.rank[one] ?? -1) - (vocabulary.rank[other] ?? -1));
