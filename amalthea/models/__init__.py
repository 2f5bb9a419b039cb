"""Model, Sequential and Functional, assembled out of the rooms above."""
