// Arrays: reads .npz files as numpy writes them (zip, stored or deflated; .npy 1.0), nothing pickled, and does what the
// steps of a scenario do with numbers.
//
// An array is {dtype, shape, data}: dtype as numpy spells it ("<f4"), data a typed array in C order.
// Format: https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html

"use strict";

const fs = require("fs");
const zlib = require("zlib");

const TYPES = {
  "<f4": Float32Array,
  "<f8": Float64Array,
  "<i8": BigInt64Array,
  "<i4": Int32Array,
  "|u1": Uint8Array,
  "|i1": Int8Array,
  "|b1": Uint8Array,
};

const END_OF_DIRECTORY = 0x06054b50;
const END_SIZE = 22;
const DIRECTORY_ENTRY_SIZE = 46;
const LOCAL_HEADER_SIZE = 30;
const DEFLATED = 8;

/** Every array of the .npz at `path`, by name. */
function readArrays(path) {
  const file = fs.readFileSync(path);
  const end = file.length - END_SIZE; // numpy and crosscheck write no comment behind it
  if (end < 0 || file.readUInt32LE(end) !== END_OF_DIRECTORY) {
    throw new Error(`${path} is no .npz file that crosscheck wrote`);
  }
  const arrays = {};
  let at = file.readUInt32LE(end + 16);
  for (let left = file.readUInt16LE(end + 10); left > 0; left--) {
    const [name, extra, comment] = [28, 30, 32].map((field) => file.readUInt16LE(at + field));
    const key = file.toString("utf8", at + DIRECTORY_ENTRY_SIZE, at + DIRECTORY_ENTRY_SIZE + name);
    arrays[key.replace(/\.npy$/, "")] = readArray(member(file, at));
    at += DIRECTORY_ENTRY_SIZE + name + extra + comment;
  }
  return arrays;
}

/** The content of the member whose entry in the directory begins at `entry`. */
function member(file, entry) {
  // Sizes stand in the directory: a local header of a member that was written as a stream has none.
  const header = file.readUInt32LE(entry + 42);
  const start = header + LOCAL_HEADER_SIZE + file.readUInt16LE(header + 26) + file.readUInt16LE(header + 28);
  const packed = file.subarray(start, start + file.readUInt32LE(entry + 20));
  return file.readUInt16LE(entry + 10) === DEFLATED ? zlib.inflateRawSync(packed) : packed;
}

/** One .npy file. */
function readArray(npy) {
  const start = 10 + npy.readUInt16LE(8);
  const header = npy.toString("latin1", 10, start);
  const dtype = /'descr': '([^']+)'/.exec(header)[1];
  const shape = /'shape': \(([^)]*)\)/.exec(header)[1].split(",").filter((part) => part.trim()).map(Number);
  if (!(dtype in TYPES) || /'fortran_order': True/.test(header)) {
    throw new TypeError(`an array that the probe for Node does not read: ${header.trim()}`);
  }
  // A copy, because a typed array must begin at a multiple of its item's size.
  const bytes = new Uint8Array(npy.subarray(start));
  return { dtype, shape, data: new TYPES[dtype](bytes.buffer) };
}

/** The rows from `index` on of an array's first axis, as an array without that axis. */
function row(array, index) {
  const shape = array.shape.slice(1);
  const size = shape.reduce((product, length) => product * length, 1);
  return { dtype: array.dtype, shape, data: array.data.slice(index * size, (index + 1) * size) };
}

/** The array with numbers of its own. */
function copied(array) {
  return { ...array, data: array.data.slice() };
}

/** How numpy spells the type of a typed array. */
function dtypeOf(data) {
  return Object.keys(TYPES).find((dtype) => data instanceof TYPES[dtype]);
}

/** A boolean as an array without axes. */
function flag(value) {
  return { dtype: "|b1", shape: [], data: Uint8Array.of(value ? 1 : 0) };
}

/** A float32 array of one number. */
function full(shape, value) {
  const size = shape.reduce((product, length) => product * length, 1);
  return { dtype: "<f4", shape, data: new Float32Array(size).fill(value) };
}

/** The array with its axes in another order, as `numpy.transpose`. */
function transposed({ dtype, shape, data }, axes) {
  const steps = shape.map((_, axis) => shape.slice(axis + 1).reduce((product, length) => product * length, 1));
  const [lengths, strides] = [axes.map((axis) => shape[axis]), axes.map((axis) => steps[axis])];
  const moved = new data.constructor(data.length);
  for (let at = 0; at < data.length; at++) {
    let [rest, from] = [at, 0];
    for (let axis = lengths.length - 1; axis >= 0; axis--) {
      from += (rest % lengths[axis]) * strides[axis];
      rest = Math.floor(rest / lengths[axis]);
    }
    moved[at] = data[from];
  }
  return { dtype, shape: lengths, data: moved };
}

/** The index of each row's largest entry; as with numpy, the first of several, and NaN is the largest of all. */
function classes({ shape, data }) {
  const [rows, columns] = shape;
  const found = new Uint8Array(rows);
  for (let index = 0; index < rows; index++) {
    const logits = data.subarray(index * columns, (index + 1) * columns);
    const nan = logits.findIndex(Number.isNaN);
    found[index] = nan >= 0 ? nan : logits.indexOf(logits.reduce((most, value) => (value > most ? value : most)));
  }
  return { dtype: "|u1", shape: [rows], data: found };
}

/** The softmax of each row's largest entry. */
function confidences({ shape, data }) {
  const [rows, columns] = shape;
  const found = new Float32Array(rows);
  for (let index = 0; index < rows; index++) {
    const logits = Array.from(data.subarray(index * columns, (index + 1) * columns));
    const most = Math.max(...logits);
    found[index] = 1 / logits.reduce((sum, value) => sum + Math.exp(value - most), 0);
  }
  return { dtype: "<f4", shape: [rows], data: found };
}

/** Map the smallest entry to 0 and the largest to 1; a constant array becomes zero. Each operation rounds to float32. */
function rescaled(image) {
  const low = image.data.reduce((least, value) => (value < least ? value : least));
  const high = image.data.reduce((most, value) => (value > most ? value : most));
  const flat = !(high > low) || image.data.some(Number.isNaN);
  const range = Math.fround(high - low);
  return { ...image, data: image.data.map((value) => (flat ? 0 : Math.fround(value - low) / range)) };
}

/** The array's numbers as they lie in memory. */
function bytesOf({ data }) {
  return Buffer.from(data.buffer, data.byteOffset, data.byteLength);
}

module.exports = { bytesOf, classes, confidences, copied, dtypeOf, flag, full, readArrays, rescaled, row, transposed };
