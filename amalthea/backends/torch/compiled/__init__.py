"""Graphs as programs of torch calls.

`program` puts the steps together: the compiler's passes make the graph simple, `lowering` turns its nodes into calls of
torch functions (several nodes into one where torch has a function for them), `places` lets calls write into memory that
nobody needs any more, and `calls` writes them down as one straight Python function.
"""
