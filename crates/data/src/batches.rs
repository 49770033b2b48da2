//! Batches of a pack, prepared while the last one is learnt from.

use std::{
    panic::resume_unwind,
    sync::{
        Arc,
        mpsc::{Receiver, SyncSender, sync_channel},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use artifact::Pack;
use rayon::prelude::*;

use crate::Augment;

/// Batches that may wait, ready, for the consumer.
const AHEAD: usize = 2;

/// Images of a pack.
#[derive(Debug)]
pub struct Batch {
    /// Rows of the pack; length B.
    pub sample: Vec<u32>,
    /// Pixels in \[0, 1\], `[B, 3, H, W]`.
    pub images: Vec<f32>,
}

/// An iterator over the batches of one epoch, which a thread prepares in advance.
///
/// Dropping it stops the thread.
#[derive(Debug)]
pub struct Batches {
    ready: Option<Receiver<Batch>>,
    worker: Option<JoinHandle<()>>,
    waited: Duration,
}

impl Batches {
    /// Starts to prepare `plan`, the rows of each batch, in its order.
    ///
    /// The augmentation is that of (`seed`, `epoch`).
    pub fn new(
        pack: Arc<Pack>,
        plan: Vec<Vec<u32>>,
        augment: Augment,
        seed: u64,
        epoch: u32,
    ) -> Self {
        let (sender, ready) = sync_channel(AHEAD);
        let worker = thread::spawn(move || {
            prepare_all(&pack, plan, &augment, (seed, epoch), &sender);
        });
        Self { ready: Some(ready), worker: Some(worker), waited: Duration::ZERO }
    }

    /// How long the consumer has waited for batches so far.
    pub fn waited(&self) -> Duration {
        self.waited
    }
}

impl Iterator for Batches {
    type Item = Batch;

    fn next(&mut self) -> Option<Batch> {
        let start = Instant::now();
        let batch = self.ready.as_ref().and_then(|ready| ready.recv().ok());
        self.waited += start.elapsed();
        if batch.is_none()
            && let Some(worker) = self.worker.take()
            && let Err(panic) = worker.join()
        {
            // An epoch must not end early in silence.
            resume_unwind(panic);
        }
        batch
    }
}

impl Drop for Batches {
    fn drop(&mut self) {
        // The thread ends at its next batch: nobody listens any more.
        drop(self.ready.take());
        if let Some(worker) = self.worker.take() {
            // Its panic, if any, was of a batch that nobody wanted.
            let _ = worker.join();
        }
    }
}

fn prepare_all(
    pack: &Pack,
    plan: Vec<Vec<u32>>,
    augment: &Augment,
    key: (u64, u32),
    sender: &SyncSender<Batch>,
) {
    for sample in plan {
        if sender.send(prepare(pack, sample, augment, key)).is_err() {
            return;
        }
    }
}

fn prepare(pack: &Pack, sample: Vec<u32>, augment: &Augment, key: (u64, u32)) -> Batch {
    let (h, w) = (pack.height(), pack.width());
    let mut images = vec![0.0; sample.len() * 3 * h * w];
    images.par_chunks_exact_mut(3 * h * w).zip(&sample).for_each(|(out, &id)| {
        augment.apply(pack.image(id as usize), h, w, out, key.0, key.1, id);
    });
    Batch { sample, images }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::shapes;

    fn pack(count: usize) -> Arc<Pack> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("train.safetensors");
        let provenance = artifact::Provenance {
            stage: "test".into(),
            version: String::new(),
            revision: String::new(),
            dirty: false,
            seed: 0,
            flags: std::collections::BTreeMap::new(),
            inputs: std::collections::BTreeMap::new(),
            origin: std::collections::BTreeMap::new(),
        };
        shapes::generate(count, "train", 0, &|_| ()).write(&path, &provenance).unwrap();
        Arc::new(Pack::open(&path).unwrap())
    }

    #[test]
    fn batches_come_in_the_planned_order() {
        let pack = pack(7);
        let plan = vec![vec![6, 0, 3], vec![1], vec![2, 5]];
        let batches = Batches::new(pack.clone(), plan.clone(), Augment::default(), 0, 0);
        let batches: Vec<_> = batches.collect();
        assert_eq!(batches.len(), plan.len());
        for (batch, plan) in batches.iter().zip(&plan) {
            assert_eq!(batch.sample, *plan);
            let first = pack.image(plan[0] as usize);
            let expected: Vec<f32> = first.iter().map(|&v| f32::from(v) / 255.0).collect();
            assert_eq!(batch.images[..first.len()], expected);
        }
    }

    #[test]
    fn a_consumer_may_leave_early() {
        let plan = vec![vec![0, 1]; 50];
        let mut batches = Batches::new(pack(2), plan, Augment::default(), 0, 0);
        assert!(batches.next().is_some());
    }

    #[test]
    #[should_panic(expected = "index")]
    fn a_panic_of_the_thread_is_not_swallowed() {
        let mut batches =
            Batches::new(pack(2), vec![vec![0], vec![9]], Augment::default(), 0, 0);
        while batches.next().is_some() {}
    }
}
