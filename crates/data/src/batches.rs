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
use candle_core::{Device, Result};
use ops::Upload;
use rayon::prelude::*;

use crate::Augment;

/// Batches that may wait, ready, for the consumer.
const AHEAD: usize = 2;

/// Images of a pack.
#[derive(Debug)]
pub struct Batch {
    /// Rows of the pack; length B.
    pub sample: Vec<u32>,
    /// Pixels in \[0, 1\], `[B, 3, H, W]`, there or on their way to the device.
    pub images: Upload,
}

/// An iterator over the batches of one epoch, which a thread prepares in advance.
///
/// Dropping it stops the thread.
#[derive(Debug)]
pub struct Batches {
    ready: Option<Receiver<Result<Batch>>>,
    worker: Option<JoinHandle<()>>,
    waited: Duration,
}

impl Batches {
    /// Starts to prepare `plan`, the rows of each batch, in its order, for `device`.
    ///
    /// The augmentation is that of (`seed`, `epoch`).
    pub fn new(
        pack: Arc<Pack>,
        plan: Vec<Vec<u32>>,
        augment: Augment,
        (seed, epoch): (u64, u32),
        device: &Device,
    ) -> Self {
        let (sender, ready) = sync_channel(AHEAD);
        let device = device.clone();
        let worker = thread::spawn(move || {
            prepare_all(&pack, plan, (&augment, (seed, epoch)), &device, &sender);
        });
        Self { ready: Some(ready), worker: Some(worker), waited: Duration::ZERO }
    }

    /// The next batch, if it is ready.
    pub fn ready(&mut self) -> Option<Result<Batch>> {
        self.ready.as_ref().and_then(|ready| ready.try_recv().ok())
    }

    /// How long the consumer has waited for batches so far.
    pub fn waited(&self) -> Duration {
        self.waited
    }
}

impl Iterator for Batches {
    /// An error, if a device has no memory for the batch.
    type Item = Result<Batch>;

    fn next(&mut self) -> Option<Self::Item> {
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
    how: (&Augment, (u64, u32)),
    device: &Device,
    sender: &SyncSender<Result<Batch>>,
) {
    for sample in plan {
        if sender.send(prepare(pack, sample, how, device)).is_err() {
            return;
        }
    }
}

fn prepare(
    pack: &Pack,
    sample: Vec<u32>,
    (augment, (seed, epoch)): (&Augment, (u64, u32)),
    device: &Device,
) -> Result<Batch> {
    let (h, w) = (pack.height(), pack.width());
    let images = ops::upload((sample.len(), 3, h, w), device, |images| {
        images.par_chunks_exact_mut(3 * h * w).zip(&sample).for_each(|(out, &id)| {
            augment.apply(pack.image(id as usize), h, w, out, seed, epoch, id);
        });
    })?;
    Ok(Batch { sample, images })
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

    fn start(pack: &Arc<Pack>, plan: Vec<Vec<u32>>) -> Batches {
        Batches::new(pack.clone(), plan, Augment::default(), (0, 0), &Device::Cpu)
    }

    #[test]
    fn batches_come_in_the_planned_order() {
        let pack = pack(7);
        let plan = vec![vec![6, 0, 3], vec![1], vec![2, 5]];
        let batches = start(&pack, plan.clone());
        let batches: Vec<_> = batches.collect::<Result<_>>().unwrap();
        assert_eq!(batches.len(), plan.len());
        for (batch, plan) in batches.iter().zip(&plan) {
            assert_eq!(batch.sample, *plan);
            let first = pack.image(plan[0] as usize);
            let expected: Vec<f32> = first.iter().map(|&v| f32::from(v) / 255.0).collect();
            let images = ops::host(&batch.images.tensor().unwrap()).unwrap();
            assert_eq!(images[..first.len()], expected);
        }
    }

    #[test]
    fn a_consumer_may_leave_early() {
        let plan = vec![vec![0, 1]; 50];
        let mut batches = start(&pack(2), plan);
        assert!(batches.next().is_some());
    }

    #[test]
    #[should_panic(expected = "index")]
    fn a_panic_of_the_thread_is_not_swallowed() {
        let mut batches = start(&pack(2), vec![vec![0], vec![9]]);
        while batches.next().is_some() {}
    }
}
