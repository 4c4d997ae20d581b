//! What of the standard library a stop reaches.

mod barrier;
mod condvar;
mod io;
mod net;
#[cfg(target_os = "linux")]
mod process;
mod until_stopped;
