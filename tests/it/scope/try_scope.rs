//! try_scope
