//! Waiting for several tasks.
//!
//! - `as_completed`: tasks in the order in which they end.
//! - `wait`: until one, all, or the first that fails has ended.
//! - `finished`: who has ended, in order; what these share.

mod as_completed;
mod finished;
mod wait;

pub use as_completed::{AsCompleted, as_completed};
pub use wait::{
    Waited, wait_all, wait_all_timeout, wait_any, wait_any_timeout, wait_first_error,
    wait_first_error_timeout,
};
