//! Tasks that borrow from the stack of whoever opens the scope.

use crate::common::{Gate, finishes};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use stoppable::{ScopedHandle, Stopped, ThreadPool};

#[test]
fn tasks_read_and_write_what_is_on_the_stack() {
    finishes(|| {
        let pool = ThreadPool::new(4);
        let words = vec!["a".to_owned(), "bb".to_owned(), "ccc".to_owned()];
        let mut lengths = [0; 3];
        let mut joined = String::new();
        let all = pool.scope(|s| {
            for (length, word) in lengths.iter_mut().zip(&words) {
                s.submit(move |_| *length = word.len());
            }
            s.submit(|_| joined = words.concat());
        });
        assert_eq!(all, Ok(()));
        assert_eq!((lengths, joined.as_str()), ([1, 2, 3], "abbccc"));
        drop(words);
    });
}

#[test]
fn the_result_may_borrow_from_outside_too() {
    finishes(|| {
        let pool = ThreadPool::new(2);
        let text = String::from("one two three");
        let longest = pool.scope(|s| {
            let words = text.split(' ').map(|word| s.submit(move |_| word));
            let words: Vec<_> = words.collect();
            let words = words.into_iter().map(|word| word.join().unwrap());
            words.max_by_key(|word| word.len()).unwrap()
        });
        assert_eq!(longest, Ok("three"));
    });
}

#[test]
fn tasks_borrow_the_scope_to_submit_more() {
    finishes(|| {
        for threads in [1, 2, 16] {
            let pool = ThreadPool::new(threads);
            let count = AtomicUsize::new(0);
            let all = pool.scope(|s| {
                for _ in 0..10 {
                    s.submit(|_| {
                        for _ in 0..10 {
                            s.submit(|_| {
                                s.submit(|_| count.fetch_add(1, Ordering::SeqCst));
                            });
                        }
                    });
                }
            });
            assert!(all.is_ok());
            assert_eq!(count.into_inner(), 100);
        }
    });
}

/// A function that takes only a short borrow, as `std::thread::scope` has to allow too.
#[test]
fn borrows_may_be_shorter_than_what_they_borrow() {
    fn sum(pool: &ThreadPool, numbers: &[u32]) -> Result<u32, Stopped> {
        pool.scope(|s| {
            let (left, right) = numbers.split_at(numbers.len() / 2);
            let left = s.submit(|_| left.iter().sum::<u32>());
            right.iter().sum::<u32>() + left.join().unwrap()
        })
    }
    finishes(|| {
        let pool = ThreadPool::new(1);
        let mut numbers = vec![1, 2, 3];
        assert_eq!(sum(&pool, &numbers), Ok(6));
        numbers.push(4);
        assert_eq!(sum(&pool, &numbers), Ok(10));
    });
}

#[test]
fn the_same_list_is_lent_again_and_again() {
    finishes(|| {
        let pool = ThreadPool::new(2);
        let mut list = vec![0_u32; 64];
        for _ in 0..300 {
            let all = pool.scope(|s| {
                for part in list.chunks_mut(16) {
                    s.submit(|_| part.iter_mut().for_each(|n| *n += 1));
                }
            });
            assert!(all.is_ok());
        }
        assert_eq!(list, vec![300; 64]);
    });
}

/// From the outside, and on a `Submitter`.
#[test]
fn a_submitter_opens_scopes_as_well() {
    finishes(|| {
        let pool = ThreadPool::new(2);
        let submitter = pool.submitter();
        let text = String::from("borrowed");
        let size = submitter.scope(|s| s.submit(|_| text.len()).join().unwrap());
        assert_eq!(size, Ok(8));
        let size = submitter.try_scope(|s| s.submit(|_| Ok::<_, Stopped>(text.len())).join());
        assert_eq!(size, Ok(8));
        let size = submitter.race([|_: &_| Ok::<_, Stopped>(text.len())]);
        assert_eq!(size, Ok(8));
    });
}

#[test]
fn an_empty_scope_gives_what_its_body_does() {
    let pool = ThreadPool::new(1);
    let mut calls = 0;
    assert_eq!(pool.scope(|_| calls += 1), Ok(()));
    let five = pool.try_scope(|_| Ok::<_, Stopped>(5));
    assert_eq!((five, calls), (Ok(5), 1));
}

#[test]
fn handles_move_into_other_tasks_of_the_scope() {
    finishes(|| {
        for threads in [1, 2] {
            let pool = ThreadPool::new(threads);
            let text = String::from("borrowed");
            let size = pool.scope(|s| {
                let first = s.submit(|_| text.as_str());
                let second = s.submit(|_| first.join().unwrap().len());
                second.join().unwrap()
            });
            assert_eq!(size, Ok(8));
        }
    });
}

#[test]
fn handles_look_at_their_tasks() {
    finishes(|| {
        let pool = ThreadPool::new(1);
        let gate = Gate::new();
        let all = pool.scope(|s| {
            let slow = s.submit(|_| gate.pass());
            let next = s.submit(|_| 3);
            assert!(slow.id() < next.id());
            assert!(!next.is_done() && !next.wait_timeout(std::time::Duration::ZERO));
            let next = next.try_join().unwrap_err();
            let next = next.join_timeout(std::time::Duration::ZERO).unwrap_err();
            assert!(format!("{next:?} {s:?}").contains("Scope"));
            gate.open();
            slow.wait();
            assert!(slow.is_done());
            slow.join().unwrap();
            assert_eq!(next.outcome().completed(), Some(3));
        });
        assert!(all.is_ok());
    });
}

/// A result that nobody fetches is dropped before the scope returns: std had this wrong once.
#[test]
fn an_unclaimed_result_is_dropped_before_the_scope_ends() {
    struct SeesTheEnd<'a>(&'a AtomicBool, &'a AtomicBool);
    impl Drop for SeesTheEnd<'_> {
        fn drop(&mut self) {
            thread::yield_now();
            self.1
                .store(self.0.load(Ordering::SeqCst), Ordering::SeqCst);
        }
    }
    finishes(|| {
        let pool = ThreadPool::new(2);
        for _ in 0..500 {
            let (ended, too_late) = (AtomicBool::new(false), AtomicBool::new(true));
            let all = pool.scope(|s| {
                s.submit(|_| SeesTheEnd(&ended, &too_late));
            });
            ended.store(true, Ordering::SeqCst);
            assert!(all.is_ok() && !too_late.into_inner());
        }
    });
}

#[test]
fn threads_share_a_pool_each_with_scopes_of_its_own() {
    finishes(|| {
        let pool = ThreadPool::new(2);
        thread::scope(|threads| {
            for thread in 0..4_usize {
                let pool = &pool;
                threads.spawn(move || {
                    for round in 0..100 {
                        let local = thread * 1_000 + round;
                        let sum = pool.scope(|s| {
                            let one = s.submit(|_| local);
                            let two = s.submit(|_| local + 1);
                            one.join().unwrap() + two.join().unwrap()
                        });
                        assert_eq!(sum, Ok(2 * local + 1));
                    }
                });
            }
        });
    });
}

/// What a task did is seen after the scope, with nothing but the scope between.
#[test]
fn the_end_of_a_scope_orders_memory() {
    finishes(|| {
        let pool = ThreadPool::new(2);
        for round in 0..2_000 {
            let mut plain = 0;
            let counted = AtomicUsize::new(0);
            let all = pool.scope(|s| {
                s.submit(|_| plain = round);
                s.submit(|_| counted.store(round, Ordering::Relaxed));
            });
            assert!(all.is_ok());
            assert_eq!((plain, counted.into_inner()), (round, round));
        }
    });
}

/// A thread that has nothing to do with the pool submits to the scope through a borrow.
#[test]
fn another_thread_submits_to_the_scope() {
    finishes(|| {
        let pool = ThreadPool::new(2);
        let log = Mutex::new(Vec::new());
        let all = pool.scope(|s| {
            thread::scope(|threads| {
                for n in 0..8 {
                    let log = &log;
                    threads.spawn(move || {
                        s.submit(move |_| log.lock().unwrap().push(n));
                    });
                }
            });
        });
        assert!(all.is_ok());
        let mut log = log.into_inner().unwrap();
        log.sort_unstable();
        assert_eq!(log, [0, 1, 2, 3, 4, 5, 6, 7]);
    });
}

#[test]
fn the_types_can_be_named_and_shared() {
    fn is_sync<T: Sync>(_: &T) {}
    fn is_send<T: Send>(_: &T) {}
    fn keep<'s>(handles: &mut Vec<ScopedHandle<'s, u8>>, handle: ScopedHandle<'s, u8>) {
        handles.push(handle);
    }
    finishes(|| {
        let pool = Arc::new(ThreadPool::new(1));
        let all = pool.scope(|s| {
            is_sync(s);
            let mut handles = Vec::new();
            keep(&mut handles, s.submit(|_| 1));
            keep(&mut handles, s.submit(|_| 2));
            is_send(&handles[0]);
            handles
                .into_iter()
                .map(|one| one.join().unwrap())
                .sum::<u8>()
        });
        assert_eq!(all, Ok(3));
    });
}
