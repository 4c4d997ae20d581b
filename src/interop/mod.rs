//! Neighbours: one file for each, on the public API only, behind a feature that is named after it.

#[cfg(feature = "crossbeam-channel")]
pub mod crossbeam_channel;
#[cfg(feature = "ctrlc")]
pub mod ctrlc;
#[cfg(feature = "rayon")]
pub mod rayon;
#[cfg(feature = "serde")]
mod serde;
#[cfg(feature = "tokio-util")]
pub mod tokio_util;
