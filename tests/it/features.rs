//! Neighbours, each behind its feature.

#[cfg(feature = "crossbeam-channel")]
mod crossbeam_channel;
#[cfg(all(unix, feature = "ctrlc"))]
mod ctrlc;
#[cfg(feature = "enough")]
mod enough;
#[cfg(feature = "rayon")]
mod rayon;
#[cfg(feature = "rayon")]
mod rayon_submit;
#[cfg(feature = "tokio-util")]
mod tokio_util;
