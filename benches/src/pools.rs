//! The pools of ours and of the peers, each with two workers.

use qubit_thread_pool::FixedThreadPool;
use stoppable::ThreadPool;

/// How many workers everyone has.
pub const WORKERS: usize = 2;

/// Ours.
pub fn ours() -> ThreadPool {
    ThreadPool::new(WORKERS)
}

/// rayon.
pub fn rayon() -> rayon::ThreadPool {
    rayon::ThreadPoolBuilder::new()
        .num_threads(WORKERS)
        .build()
        .expect("threads can be started")
}

/// threadpool.
pub fn threadpool() -> threadpool::ThreadPool {
    threadpool::ThreadPool::new(WORKERS)
}

/// `rusty_pool`, with its threads started, which it would do with the first tasks.
pub fn rusty_pool() -> rusty_pool::ThreadPool {
    let pool = rusty_pool::Builder::new()
        .core_size(WORKERS)
        .max_size(WORKERS)
        .build();
    pool.start_core_threads();
    pool
}

/// qubit-thread-pool, fixed and unbounded.
pub fn qubit() -> FixedThreadPool {
    FixedThreadPool::builder()
        .pool_size(WORKERS)
        .unbounded_queue()
        .build()
        .expect("threads can be started")
}

/// threadpool-executor.
pub fn threadpool_executor() -> threadpool_executor::ThreadPool {
    threadpool_executor::ThreadPool::new(WORKERS)
}

/// tokio for `spawn_blocking`: the two workers are those for blocking tasks.
pub fn tokio_blocking() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .max_blocking_threads(WORKERS)
        .build()
        .expect("threads can be started")
}

/// tokio for `spawn`: the two workers poll futures.
pub fn tokio_async() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(WORKERS)
        .build()
        .expect("threads can be started")
}
