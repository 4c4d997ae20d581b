//! The pool beside a simple specification: random programs of operations, checked after every step, or, from
//! several threads, for an order in which the specification gives the same answers.

mod concurrent;
mod program;
mod real;
mod sequential;
mod spec;
mod watch;
