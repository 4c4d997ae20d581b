//! Scopes: tasks that borrow, end together, and never leave a stop looking like a full result.

mod quicksort;
