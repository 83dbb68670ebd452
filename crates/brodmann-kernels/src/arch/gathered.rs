//! The scheduler that parallel loops share, and a vector that they fill.

use rayon::iter::IndexedParallelIterator;
use rayon::iter::plumbing::{Producer, ProducerCallback};
use std::mem::MaybeUninit;
use std::sync::{Mutex, PoisonError};

/// How many parts each thread gets to take: enough that one slow part does not keep the others waiting.
const PARTS_PER_THREAD: usize = 16;

/// Does `task(0)`, …, `task(n - 1)`, in parallel. Every loop of
/// [`ParallelLoop`](crate::ParallelLoop) ends in this one, which is compiled once.
fn each_task(n: usize, task: &(dyn Fn(usize) + Sync)) {
    use rayon::iter::{IntoParallelIterator, ParallelIterator};
    if n == 1 {
        task(0);
    } else {
        (0..n).into_par_iter().with_max_len(1).for_each(task);
    }
}

/// Into how many parts work of `len` items goes: of at least `min_len`. Which items share a part depends on the number of
/// threads; what is done with each item does not.
fn n_parts(len: usize, min_len: usize) -> usize {
    (PARTS_PER_THREAD * rayon::current_num_threads()).min(len / min_len.max(1)).max(1)
}

fn taken<T>(part: &Mutex<Option<T>>) -> Option<T> {
    part.lock().unwrap_or_else(PoisonError::into_inner).take()
}

struct Gathering<'a, T> {
    room: &'a mut [MaybeUninit<T>],
}

impl<T: Send> ProducerCallback<T> for Gathering<'_, T> {
    type Output = ();

    fn callback<P: Producer<Item = T>>(self, mut producer: P) {
        let len = self.room.len();
        let mut room = self.room;
        let n = n_parts(len, producer.min_len());
        let mut parts = Vec::with_capacity(n);
        for i in 0..n {
            let here = len * (i + 1) / n - len * i / n;
            let (slots, rest) = room.split_at_mut(here);
            room = rest;
            let (part, rest) = producer.split_at(here);
            producer = rest;
            parts.push(Mutex::new(Some((part, slots))));
        }
        each_task(n, &|i| {
            if let Some((part, slots)) = taken(&parts[i]) {
                let mut slots = slots.iter_mut();
                for item in part.into_iter() {
                    slots.next().expect("as many items as the iterator said").write(item);
                }
                assert!(slots.next().is_none(), "an iterator with fewer items than it said");
            }
        });
    }
}

struct Each<F> {
    len: usize,
    work: F,
}

impl<T: Send, F: Fn(T) + Sync> ProducerCallback<T> for Each<F> {
    type Output = ();

    fn callback<P: Producer<Item = T>>(self, mut producer: P) {
        let n = n_parts(self.len, producer.min_len());
        let mut parts = Vec::with_capacity(n);
        for i in 0..n {
            let (part, rest) = producer.split_at(self.len * (i + 1) / n - self.len * i / n);
            producer = rest;
            parts.push(Mutex::new(Some(part)));
        }
        each_task(n, &|i| {
            if let Some(part) = taken(&parts[i]) {
                part.into_iter().for_each(&self.work);
            }
        });
    }
}

/// All items of `items`, in order.
pub fn gathered<I: IndexedParallelIterator>(items: I) -> Vec<I::Item> {
    let len = items.len();
    let mut all = Vec::with_capacity(len);
    if len > 0 {
        items.with_producer(Gathering { room: &mut all.spare_capacity_mut()[..len] });
        // SAFETY: every part has written each of its slots (asserted), and the parts' slots are the first `len`.
        unsafe { all.set_len(len) };
    }
    all
}

/// Does `work` with each item of `items`, in parallel.
pub fn each<I: IndexedParallelIterator>(items: I, work: impl Fn(I::Item) + Sync) {
    let len = items.len();
    if len > 0 {
        items.with_producer(Each { len, work });
    }
}
