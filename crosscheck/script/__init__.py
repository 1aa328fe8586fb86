"""Writes a judged cell as a short program that needs its runtime alone, of the texts that were executed."""
