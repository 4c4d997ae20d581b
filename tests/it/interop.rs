//! What of the standard library a stop reaches.

mod barrier;
#[cfg(target_os = "linux")]
mod build_example;
mod condvar;
mod io;
mod net;
#[cfg(target_os = "linux")]
mod process;
#[cfg(target_os = "linux")]
mod process_group;
#[cfg(target_os = "linux")]
mod signals;
mod until_stopped;
