//! Neighbours: one file for each, on the public API only, behind a feature that is named after it.

#[cfg(feature = "serde")]
mod serde;
