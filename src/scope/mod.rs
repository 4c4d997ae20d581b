//! Structured concurrency: tasks that belong together and end together.
//!
//! - `scoped`: scopes, whose tasks borrow from the stack.
//! - `try_scope`: scopes that end at the first error.
//! - `race`: the first success.
//! - `group`: a group that is owned and not tied to a block.
//! - `work`: what these share: running a body, waiting for all, and what comes of it.
//!
//! All of them are a [`Group`](crate::task::group) below, which has the arguments.

mod group;
mod handle;
#[cfg(all(test, loom))]
mod loom_tests;
mod race;
mod scoped;
mod try_scope;
mod work;

pub use group::TaskGroup;
pub use handle::{ScopedHandle, TryScopedHandle};
pub use scoped::Scope;
pub use try_scope::TryScope;
