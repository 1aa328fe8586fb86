"""The runtimes under test: one folder each, and the catalog that reads the folders."""
