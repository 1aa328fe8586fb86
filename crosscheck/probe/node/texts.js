// Executes the texts of a program: crosscheck/probe/texts.py for Node.
//
// A text is written as the lines of an ES module: `await` stands anywhere, and free names are errors. Names of the
// probe are `weights`, `x` and `cotangent`; names that texts assign without declaring them are `net`, `y`, `dx` and
// `layers`. What a text declares in its first column (one name, or one pattern, a declaration) stays for later texts.
// `import` is executed as `require`, because only a file can import.
//
// Arrays are {dtype, shape, data}, as `arrays.js` reads them: so are `weights`, the value that a source's expression
// `tensor` gets; its expression `array` makes {shape, data}, data being a typed array.

"use strict";

const vm = require("vm");

/** What texts assign without declaring it. */
const ASSIGNED = { net: undefined, x: undefined, cotangent: undefined, y: undefined, dx: undefined, layers: undefined };

/** A network whose source was executed, and the names of its texts. */
class Model {
  /**
   * `name`, the same in every trial, stands in tracebacks. `folder` is where the texts are executed, and where the files
   * lie that they name. `names` are copied from another model. `shares` is the model whose layers this one is on.
   */
  constructor(network, name, folder, names = {}, shares = null) {
    Object.assign(this, { network, name, folder, source: network.source, texts: network.texts });
    this.names = Object.assign(Object.create(null), ASSIGNED, names);
    this.alike = shares ? shares.alike : []; // the models on the same layers, with `carried` in common
    this.alike.push(this);
    this.once = new Set(); // the modes whose first part has been executed
    this.executed = new Set(); // the texts
  }

  /** Whether a text executed on these layers has the word: what it sets is the user's own doing. */
  says(word) {
    return this.alike.some(({ executed }) => [...executed].some((text) => text.includes(word)));
  }

  /** Execute one text; `part` names it in tracebacks. */
  async run(text, part) {
    process.chdir(this.folder);
    this.executed.add(text);
    const code = text
      .replace(/^import (?:\* as )?(.+) from (".+");$/gm, "const $1 = require($2);")
      .replace(/^import (".+");$/gm, "require($1);");
    const body = `${code}\nreturn { ${declared(code).join(", ")} };`;
    Object.assign(this.names, await this.called(body, part, { require }));
    const carried = this.source.carried.filter((name) => name in this.names).map((name) => [name, this.names[name]]);
    for (const { names } of this.alike) Object.assign(names, Object.fromEntries(carried));
  }

  /** The value of an expression, in which `value` may be a name. */
  evaluate(expression, value) {
    return this.called(`return ${expression};`, "expression", { value });
  }

  /** The promise of what an asynchronous function with this body returns; `parameters` are its own names. */
  called(body, part, parameters) {
    const code = `"use strict"; return (async () => {\n${body}\n})();`;
    const settings = { filename: `${this.name}.${part}.js`, lineOffset: -1, contextExtensions: [this.names] };
    return vm.compileFunction(code, Object.keys(parameters), settings)(...Object.values(parameters));
  }
}

/** The names that a text declares in its first column. */
function declared(text) {
  const plain = text.matchAll(/^(?:const|let|class|(?:async )?function) ([\w$]+)/gm);
  const patterns = text.matchAll(/^(?:const|let) [[{](.+?)[\]}] =/gm);
  const parts = [...patterns].flatMap(([, pattern]) => pattern.split(","));
  return [...[...plain].map(([, name]) => name), ...parts.map((part) => /([\w$]+)\s*$/.exec(part)[1])];
}

/** Import the packages that a source imports. */
function load({ imports }) {
  for (const [, name] of imports.matchAll(/^import (?:.+ from )?"(.+)";$/gm)) require(name);
}

module.exports = { Model, load };
