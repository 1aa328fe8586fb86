"""The toy runtime on Node: `adapter.js` is the adapter, `toy.js` the runtime."""

from crosscheck.probe.node import NodeAdapter


class NodeToy(NodeAdapter):
    """The host's side of `adapter.js`."""
