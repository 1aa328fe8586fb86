"""torchinfo: summaries of torch modules, which are run once for them."""
