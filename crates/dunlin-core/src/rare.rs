//! What most things of a kind never need: one pointer until it is first changed.
//!
//! Reading is as if it were always there and empty. Changing says what is meant: [`Rare::make`] allocates,
//! [`Rare::existing`] does not.

use std::ops::Deref;

/// A value that can stand for one that was never made.
pub trait Empty: Default + 'static {
    /// It: the same as `default()`.
    const EMPTY: &'static Self;
}

/// See the top of the file.
#[derive(Debug)]
pub struct Rare<T>(Option<Box<T>>);

impl<T> Default for Rare<T> {
    fn default() -> Self {
        Self(None)
    }
}

impl<T: Empty> Deref for Rare<T> {
    type Target = T;

    #[inline]
    fn deref(&self) -> &T {
        self.0.as_deref().unwrap_or(T::EMPTY)
    }
}

impl<T: Empty> Rare<T> {
    /// To change it.
    #[inline]
    pub fn make(&mut self) -> &mut T {
        self.0.get_or_insert_default()
    }

    /// To change what only a value that was made can have.
    #[inline]
    pub fn existing(&mut self) -> Option<&mut T> {
        self.0.as_deref_mut()
    }

    /// As if it had never been made.
    #[inline]
    pub fn unmake(&mut self) {
        self.0 = None;
    }

    /// Bytes it takes beside the pointer.
    #[inline]
    pub fn size_bytes(&self) -> usize {
        if self.0.is_some() { size_of::<T>() } else { 0 }
    }
}
