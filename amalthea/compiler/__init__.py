"""From graphs of primitives to machine code: passes, loops, buffers, LLVM IR, object code, threads."""
