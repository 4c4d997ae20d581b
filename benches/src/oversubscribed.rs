//! More workers than processors: what that does to the time of a task.
//!
//! The work is that of `submit_collect` and of `fire_and_forget`. Only those take part that can be
//! given any number of threads.

use crate::kit::Contender;
use crate::{fire_and_forget, submit_collect};

/// With how many threads, the usual number first.
pub const THREADS: [usize; 3] = [crate::pools::WORKERS, 8, 32];

/// One kind of work.
#[derive(Debug)]
pub struct Work {
    /// What it is called.
    pub title: &'static str,
    /// All who do it, with so many threads.
    pub contenders: fn(usize) -> Vec<Contender>,
}

/// All kinds.
pub const WORK: [Work; 2] = [
    Work {
        title: "submit + collect",
        contenders: submit_collect::of_threads,
    },
    Work {
        title: "fire and forget",
        contenders: fire_and_forget::of_threads,
    },
];
