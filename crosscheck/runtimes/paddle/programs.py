"""Static programs: the network in one for training, one for testing, and so on, whose variables are the same."""

import os
from typing import Any, Callable, Dict, List, Mapping, NamedTuple, Optional

import numpy as np

from crosscheck.probe.adapter import Network
from crosscheck.probe.modes import Between, Call, Norm, Table
from crosscheck.runtimes.paddle import contracts
from crosscheck.runtimes.paddle.networks import KIT, ROLES, tensor_ranks, transposed

TABLE = Table(inference="static.eval.gradients", training="static.train.gradients", since="2.0.0", kind="static")

COTANGENT = "a cotangent"

#: (static, y, x, c) -> what is fetched for dx; adds the gradient's operators to the program that is being made.
Differentiate = Callable[[Any, Any, Any, Any], Any]

HEAD = "with static.program_guard(main, startup):\n    net = Network({})\n    net.{}()\n    y = net(x)\n"
TAIL = "    dx, = static.gradients([y], [x], [c])\nexe.run(main, feed={'x': x, 'c': cotangent}, fetch_list=[dx])"


class Program(NamedTuple):
    """A program, the variables of all nodes by tensor name, and the gradient, where there is one."""

    main: Any
    values: Dict[str, Any]
    dx: Optional[Any]


class Programs:
    """The network's programs, each made when it is first asked for; `scope` holds the variables of all.

    The names of a layer's variables begin with the graph's name of its first weight, so programs share them.

    static: the module of static programs. names: what Paddle calls a weight.
    """

    kit = KIT

    def __init__(self, paddle: Any, static: Any, network: Network, shares: Optional["Programs"]) -> None:
        self.paddle = paddle
        self.static = static
        self.graph = network.graph
        self.weights = network.weights
        self.names: Dict[str, str] = {}
        self.transposed = {
            name
            for node in self.graph["nodes"]
            for name in node["inputs"]
            if name in self.weights and transposed(node, self.weights[name])
        }
        self.scope: Any = static.Scope() if shares is None else shares.scope
        self.executor = static.Executor(paddle.CPUPlace())
        self.made: Dict[Any, Program] = {}
        self._start({} if shares is None else {name: shares.array(name) for name in shares.names})

    def _start(self, there: Mapping[str, Any]) -> None:
        """Run a startup program and put the weights where it put random numbers; values that are `there` stay."""
        startup = self.static.Program()
        self._make({}, "train", startup, None, False)
        with self.static.scope_guard(self.scope):
            self.executor.run(startup)
        for name, own in self.names.items():
            value = there.get(name, self.weights[name])
            if name in self.transposed:
                value = value.T
            self.scope.find_var(own).get_tensor().set(np.ascontiguousarray(value), self.paddle.CPUPlace())

    def array(self, name: str) -> Any:
        """A weight's numbers in the graph's layout, copied."""
        value = np.array(self.scope.find_var(self.names[name]).get_tensor())
        return value.T if name in self.transposed else value

    def run(self, program: Program, feeds: Mapping[str, Any], fetch: List[Any]) -> Any:
        """What the executor fetches."""
        with self.static.scope_guard(self.scope):
            return self.executor.run(program.main, feed=dict(feeds), fetch_list=fetch)

    def program(
        self, norm: Norm, half: str, differentiate: Optional[Differentiate] = None, clone: bool = False
    ) -> Program:
        """The program of the network in training or evaluation; with `clone`, cloned for testing."""
        key = (tuple(sorted(norm.items())), half, differentiate, clone)
        if key not in self.made:
            self.made[key] = self._make(norm, half, self.static.Program(), differentiate, clone)
        return self.made[key]

    def predict(self, x: Any) -> Any:
        """The documented prediction: a program made in evaluation, run."""
        return prediction({}, "eval")(self.paddle, self, x)

    def _make(
        self, norm: Norm, half: str, startup: Any, differentiate: Optional[Differentiate], clone: bool
    ) -> Program:
        static = self.static
        main = static.Program()
        first, last = self.graph["inputs"][0], self.graph["outputs"][0]
        with static.program_guard(main, startup):
            x = static.data("x", [None] + list(first["shape"][1:]), "float32")
            x.stop_gradient = False
            values = self._values(norm, half, x)
            c = static.data(COTANGENT, [None] + list(last["shape"][1:]), "float32") if differentiate else None
        if clone:
            main = main.clone(for_test=True)
            block = main.global_block()
            values = {name: block.var(value.name) for name, value in values.items()}
            c = block.var(COTANGENT) if differentiate else None
        if differentiate is None:
            return Program(main, values, None)
        with static.program_guard(main, startup):
            dx = differentiate(static, values[last["name"]], values[first["name"]], c)
        return Program(main, values, dx)

    def _values(self, norm: Norm, half: str, x: Any) -> Dict[str, Any]:
        """What every node puts out, by tensor name; the input is among it."""
        ranks = tensor_ranks(self.graph)
        found = {self.graph["inputs"][0]["name"]: x}
        for node in self.graph["nodes"]:
            inputs = [found[name] for name in node["inputs"] if name in found]
            if node["op"] in ROLES:
                value = self.layer(node, ranks[node["inputs"][0]], inputs[0], norm, half)
            else:
                value = self.kit.functions[node["op"]](self.paddle, node["attributes"], *inputs)
            found[node["outputs"][0]] = value
        return found

    def layer(self, node: Mapping[str, Any], rank: int, x: Any, norm: Norm, half: str) -> Any:
        """What a node with parameters puts out; what its variables are called is entered in `names`."""
        names = node["inputs"][1:]
        weights = [self.weights[name] for name in names]
        with self.paddle.utils.unique_name.guard(names[0] + "."):
            layer = self.kit.layers[node["op"]](self.paddle, node["attributes"], weights, rank, norm)
        getattr(layer, half)()
        self.names.update((name, getattr(layer, role).name) for name, role in zip(names, ROLES[node["op"]]))
        return layer(x)


def gradients(static: Any, y: Any, x: Any, c: Any) -> Any:
    """`static.gradients`."""
    (dx,) = static.gradients([y], [x], [c])
    return dx


def gradient(norm: Norm, half: str, differentiate: Differentiate = gradients, clone: bool = False) -> Call:
    """Run the program with the gradient; one call does forward and backward."""

    def call(paddle: Any, programs: Programs, x: Any, cotangent: Any, between: Between) -> Any:
        program = programs.program(norm, half, differentiate, clone)
        (dx,) = programs.run(program, {"x": x, COTANGENT: cotangent}, [program.dx])
        return dx

    return call


def prediction(norm: Norm, half: str, clone: bool = False) -> Call:
    """Run the program without."""

    def call(paddle: Any, programs: Programs, x: Any) -> Any:
        program = programs.program(norm, half, clone=clone)
        (y,) = programs.run(program, {"x": x}, [program.values[programs.graph["outputs"][0]["name"]]])
        return y

    return call


for name, intent, half, norm, contract in (
    ("train", "training", "train", {}, contracts.STATIC_TRAINING),
    ("eval", "inference", "eval", {}, contracts.STATIC_TEST),
    ("global-stats", "inference", "train", {"use_global_stats": True}, contracts.STATIC_GLOBAL),
    ("batch-stats-eval", "training", "eval", {"use_global_stats": False}, contracts.MINI_BATCH),
):
    words = ", ".join("{}={}".format(key, value) for key, value in norm.items())
    TABLE.mode(
        "static.{}.gradients".format(name),
        intent,
        HEAD.format(words, half) + TAIL,
        contract,
        default=name != "batch-stats-eval",
    )(gradient(norm, half))
    TABLE.mode(
        "static.{}.run".format(name),
        intent,
        HEAD.format(words, half) + "exe.run(main, feed={'x': x}, fetch_list=[y])",
        contract,
        "prediction",
        default=name == "eval",
    )(prediction(norm, half))
TABLE.mode(
    "static.clone-for-test.gradients",
    "inference",
    HEAD.format("", "train") + "main = main.clone(for_test=True)\nwith static.program_guard(main):\n" + TAIL,
    contracts.CLONED,
)(gradient({}, "train", clone=True))
TABLE.mode(
    "static.clone-for-test.run",
    "inference",
    HEAD.format("", "train") + "main = main.clone(for_test=True)\nexe.run(main, feed={'x': x}, fetch_list=[y])",
    contracts.CLONED,
    "prediction",
)(prediction({}, "train", clone=True))


class Loaded:
    """A program that was read from files, in a scope of its own. `load` is called in it: -> main, feeds, fetch."""

    def __init__(self, static: Any, executor: Any, load: Callable[[], Any]) -> None:
        self.static = static
        self.executor = executor
        self.scope = static.Scope()
        with static.scope_guard(self.scope):
            self.main, self.feeds, self.fetch = load()

    def predict(self, x: Any) -> Any:
        """Run the program."""
        with self.static.scope_guard(self.scope):
            (y,) = self.executor.run(self.main, feed=dict(zip(self.feeds, [x])), fetch_list=self.fetch)
        return y


@TABLE.mode(
    "export.static-model",
    "inference",
    HEAD.format("", "train")
    + "static.save_inference_model(path, [x], [y], exe, program=main)\nstatic.load_inference_model(path, exe)",
    contracts.STATIC_SAVED,
    "export",
)
def static_model(paddle: Any, programs: Programs, folder: str) -> Loaded:
    """What leads to the output in the training program, to files and back."""
    path = os.path.join(folder, "network")
    program = programs.program({}, "train")
    x, y = (program.values[programs.graph[end][0]["name"]] for end in ("inputs", "outputs"))
    static = programs.static
    with static.scope_guard(programs.scope):
        static.save_inference_model(path, [x], [y], programs.executor, program=program.main)
    return Loaded(static, programs.executor, lambda: static.load_inference_model(path, programs.executor))
