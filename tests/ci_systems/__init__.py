"""CI systems that execute their files on this machine: their own steps are replaced by what they do, all else runs."""
