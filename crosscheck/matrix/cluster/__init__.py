"""Runs trials on the workers of a Dask cluster. Only `client` and `worker` import Dask."""
