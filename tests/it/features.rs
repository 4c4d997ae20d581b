//! Neighbours, each behind its feature.

#[cfg(feature = "rayon")]
mod rayon;
