//! shutdown_inside
