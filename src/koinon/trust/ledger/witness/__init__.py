"""A witness: the process, and how a log asks one."""
