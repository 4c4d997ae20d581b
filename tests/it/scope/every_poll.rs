//! every_poll
