//! How fast `stoppable` is beside the pools and tokens one would use instead.
//!
//! One question a file. Each gives its *contenders*: the same work, done by this crate, by peers
//! whose tasks can be cancelled and by peers whose tasks cannot, each used as its own documentation
//! says. Everyone has two workers (but in `oversubscribed`); one thread outside of the pool
//! produces; a task does one multiplication and gives a `u64`; results are summed and the sum is
//! checked.
//!
//! A run makes its pool, warms it up and takes it down outside of the time, so that one pool is
//! alive at a time and every round begins alike.
//!
//! - `cargo run --release -p stoppable-benches --bin table` prints all of it as one table;
//!   `-- --repeat 3` does so three times, and then says what they had in common.
//! - `cargo run --release -p stoppable-benches --bin blocked` prints how soon a stop reaches tasks that are
//!   blocked in this and that.
//! - `cargo bench -p stoppable-benches --bench poll` puts one question to criterion.
//! - `solo ROW CONTENDER N` runs one contender alone, for a profiler or an instruction counter;
//!   `instructions ROW N` does so under callgrind for all contenders of a row.
//! - `instructions --check` holds instructions and memory of a task of ours to `limits.txt`.
//!
//! Absolute times of a shared machine mean little. The table runs contenders in turn and compares
//! within a round.

pub mod alloc;
pub mod blocked;
pub mod cancel_each;
pub mod counted;
pub mod fan_out;
pub mod fire_and_forget;
pub mod growth;
pub mod idle;
pub mod kit;
pub mod machine;
pub mod memory;
pub mod others;
pub mod oversubscribed;
pub mod parallel;
pub mod poll;
pub mod pools;
pub mod probe;
pub mod round_trip;
pub mod rows;
pub mod shutdown_pending;
pub mod stop_latency;
pub mod submit_all;
pub mod submit_collect;
