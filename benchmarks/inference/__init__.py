"""Forward passes of whole networks, beside runtimes that do nothing else."""
