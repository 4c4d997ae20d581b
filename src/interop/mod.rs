//! Neighbours: one file for each, on the public API only, behind a feature that is named after it.

#[cfg(feature = "rayon")]
pub mod rayon;
#[cfg(feature = "serde")]
mod serde;
