//! Both formats on made-up lives.

mod made_up;
mod picture;
mod traces;
mod words;
mod xml;
