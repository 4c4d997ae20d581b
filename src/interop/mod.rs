//! Neighbours: one file for each, on the public API only (but for a lock from `sync`, where there are models). What is in the standard library is always there, what is in
//! another crate behind a feature that is named after it.
//!
//! - `until_stopped`: iterators.
//! - `io`: readers and writers.
//! - `condvar`, `barrier`: waiting for a condition, and for each other.
//! - `net`, `listener`: sockets.
//! - `process`, `process_child`, `process_ending`, `process_output`, `signal`: child processes.

mod barrier;
mod condvar;
#[cfg(feature = "crossbeam-channel")]
pub mod crossbeam_channel;
#[cfg(feature = "ctrlc")]
pub mod ctrlc;
#[cfg(feature = "enough")]
pub mod enough;
mod io;
#[cfg(any(target_os = "linux", target_os = "android"))]
mod listener;
#[cfg(all(test, loom))]
mod loom_tests;
mod net;
mod process;
mod process_child;
#[cfg(unix)]
mod process_ending;
#[cfg(unix)]
mod process_output;
#[cfg(feature = "rayon")]
pub mod rayon;
#[cfg(feature = "rayon")]
mod rayon_submit;
#[cfg(feature = "serde")]
mod serde;
#[cfg(unix)]
mod signal;
#[cfg(feature = "tokio-util")]
pub mod tokio_util;
mod until_stopped;

pub use barrier::{StopBarrier, StopBarrierWaitResult};
pub use condvar::StopCondvar;
pub use io::{StopReader, StopWriter};
#[cfg(any(target_os = "linux", target_os = "android"))]
pub use listener::StopListener;
pub use net::{Disconnect, StopStream};
pub use process::StopCommand;
#[cfg(unix)]
pub use process_ending::StoppableCommand;
#[cfg(unix)]
pub use process_output::StopOutputError;
pub use until_stopped::{CheckedStopIter, StopIter, UntilStopped};
