//! The log on its thread.
