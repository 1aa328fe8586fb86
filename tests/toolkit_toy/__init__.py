"""A toolkit on the toy runtime that misbehaves on purpose."""
