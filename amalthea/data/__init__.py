"""Built-in data sets, and adapters from arrays, frames and loaders to batches."""
