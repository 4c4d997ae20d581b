//! The pools of ours and of the peers, each with two workers, or with as many as one asks for.

use qubit_thread_pool::FixedThreadPool;
use stoppable::ThreadPool;

/// How many workers everyone has.
pub const WORKERS: usize = 2;

/// Ours.
pub fn ours() -> ThreadPool {
    ours_of(WORKERS)
}

/// Ours, of so many.
pub fn ours_of(threads: usize) -> ThreadPool {
    ThreadPool::new(threads)
}

/// rayon.
pub fn rayon() -> rayon::ThreadPool {
    rayon_of(WORKERS)
}

/// rayon, of so many.
pub fn rayon_of(threads: usize) -> rayon::ThreadPool {
    rayon::ThreadPoolBuilder::new()
        .num_threads(threads)
        .build()
        .expect("threads can be started")
}

/// threadpool.
pub fn threadpool() -> threadpool::ThreadPool {
    threadpool_of(WORKERS)
}

/// threadpool, of so many.
pub fn threadpool_of(threads: usize) -> threadpool::ThreadPool {
    threadpool::ThreadPool::new(threads)
}

/// `rusty_pool`, with its threads started, which it would do with the first tasks.
pub fn rusty_pool() -> rusty_pool::ThreadPool {
    rusty_pool_of(WORKERS)
}

/// `rusty_pool`, of so many.
pub fn rusty_pool_of(threads: usize) -> rusty_pool::ThreadPool {
    let pool = rusty_pool::Builder::new()
        .core_size(threads)
        .max_size(threads)
        .build();
    pool.start_core_threads();
    pool
}

/// qubit-thread-pool, fixed and unbounded.
pub fn qubit() -> FixedThreadPool {
    qubit_of(WORKERS)
}

/// qubit-thread-pool, of so many.
pub fn qubit_of(threads: usize) -> FixedThreadPool {
    FixedThreadPool::builder()
        .pool_size(threads)
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
    tokio_async_of(WORKERS)
}

/// tokio for `spawn`, of so many.
pub fn tokio_async_of(threads: usize) -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(threads)
        .build()
        .expect("threads can be started")
}
