"""Virtual environments for the releases: interpreters, locks, uv, native libraries."""
