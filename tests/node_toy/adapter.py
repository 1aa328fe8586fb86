"""The toy on Node; `adapter.js` has the verbs, `toy.js` is the runtime."""

from crosscheck.probe.node import NodeAdapter


class NodeToy(NodeAdapter):
    """The toy whose verbs stand in `adapter.js`."""
