//! A parallel search that ends when its time is up, and keeps what it has found by then.
//!
//! `until_stopped` goes behind a parallel iterator of rayon's. With `run`, a search that was cut short is an
//! error, so that it is never taken for a whole one; with `partial`, what was found comes back all the same,
//! and says so.
//!
//! Expect `No result: stopped: deadline passed`, and then some primes, but not all of them.

use rayon::prelude::*;
use std::time::Duration;
use stoppable::StopEvent;
use stoppable::interop::rayon::ParallelUntilStopped;

fn is_prime(n: u64) -> bool {
    n > 1 && (2..n).take_while(|d| d * d <= n).all(|d| n % d != 0)
}

fn main() {
    // It would take days.
    let numbers = 1_000_000_000_000..2_000_000_000_000_u64;

    let limit = StopEvent::new();
    limit.set_after(Duration::from_millis(100));
    let all = numbers.clone().into_par_iter().until_stopped(&limit);
    let count = all.run(|numbers| numbers.filter(|&n| is_prime(n)).count());
    match count {
        Ok(count) => println!("{count} primes"),
        Err(stopped) => println!("No result: {stopped}"),
    }

    let limit = StopEvent::new();
    limit.set_after(Duration::from_millis(100));
    let some = numbers.into_par_iter().until_stopped(&limit);
    let (found, ended) = some.partial(|numbers| {
        let primes = numbers.filter(|&n| is_prime(n));
        primes.collect::<Vec<_>>()
    });
    match ended {
        Ok(()) => println!("{} primes", found.len()),
        Err(stopped) => println!("{} primes until {}", found.len(), stopped.reason()),
    }
}
