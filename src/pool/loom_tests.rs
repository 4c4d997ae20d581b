//! Models of the pool, to be run under loom.
