"""A `Record` becomes arrays that a model can take, without leaks."""
