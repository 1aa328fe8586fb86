// Reads .npz files as numpy writes them (zip, stored or deflated; .npy 1.0), nothing pickled.
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

/** The array's numbers as they lie in memory. */
function bytesOf({ data }) {
  return Buffer.from(data.buffer, data.byteOffset, data.byteLength);
}

module.exports = { bytesOf, readArrays, row };
