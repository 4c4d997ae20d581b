//! N tasks submitted as one batch from outside of the pool, then every result through its handle.
//!
//! Peers that have no such thing submit one by one, as in `submit_collect`; ours does so too, in a
//! second figure. In each batch every task can be cancelled alone. The vector that holds the
//! handles is made within the time here, by the pool, and before it there.

use crate::kit::Class::Ours;
use crate::kit::{Contender, WARM_UP, expected, work};
use crate::{pools, submit_collect};
use std::time::{Duration, Instant};

/// All who do this work.
pub fn contenders() -> Vec<Contender> {
    let mut contenders = vec![Contender::new("ours, batch", Ours, ours)];
    contenders.extend(submit_collect::contenders());
    contenders[1].name = "ours, one by one";
    contenders.insert(1, Contender::new("ours, map", Ours, map));
    contenders
}

fn map(n: usize) -> Duration {
    let pool = pools::ours();
    let pass = |n: usize| {
        let start = Instant::now();
        let results = pool.map(0..n as u64, |i, _stop| work(i));
        let sum = results.fold(0_u64, |sum, result| {
            sum.wrapping_add(result.expect("it completed"))
        });
        let took = start.elapsed();
        assert_eq!(sum, expected(n), "every result, once");
        took
    };
    pass(WARM_UP);
    pass(n)
}

fn ours(n: usize) -> Duration {
    let pool = pools::ours();
    let pass = |n: usize| {
        let start = Instant::now();
        let handles = pool.submit_all((0..n as u64).map(|i| move |_stop: &_| work(i)));
        let sum = handles.into_iter().fold(0_u64, |sum, handle| {
            sum.wrapping_add(handle.join().expect("it completed"))
        });
        let took = start.elapsed();
        assert_eq!(sum, expected(n), "every result, once");
        took
    };
    pass(WARM_UP);
    pass(n)
}
