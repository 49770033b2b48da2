use std::{
    panic::resume_unwind,
    sync::Arc,
    thread::{self, JoinHandle},
    vec,
};

use artifact::Pack;
use candle_core::{Device, Result, Tensor};
use ops::Upload;

use crate::image_batch::upload;

/// [`image_batch`](crate::image_batch()) of one plan of rows after the other; on its way to a GPU
/// the next batch is made while the last one is worked with.
///
/// On the CPU a batch is made when it is asked for: nobody else could make it meanwhile.
#[derive(Debug)]
pub struct ImageBatches {
    pack: Arc<Pack>,
    plan: vec::IntoIter<Vec<usize>>,
    device: Device,
    next: Option<(Vec<usize>, JoinHandle<Result<Upload>>)>,
}

impl ImageBatches {
    /// The batches of `plan`, rows of the pack, in its order.
    pub fn new(pack: Arc<Pack>, plan: Vec<Vec<usize>>, device: &Device) -> Self {
        let mut batches =
            Self { pack, plan: plan.into_iter(), device: device.clone(), next: None };
        batches.start();
        batches
    }

    /// Begins with the next batch.
    fn start(&mut self) {
        if self.device.is_cpu() {
            return;
        }
        self.next = self.plan.next().map(|rows| {
            let (pack, device, of) =
                (Arc::clone(&self.pack), self.device.clone(), rows.clone());
            (rows, thread::spawn(move || upload(&pack, &of, &device)))
        });
    }
}

impl Iterator for ImageBatches {
    /// Rows of the pack, and their images, `[B, 3, H, W]`; an error, if the device has no memory
    /// for them.
    type Item = (Vec<usize>, Result<Tensor>);

    fn next(&mut self) -> Option<Self::Item> {
        if self.device.is_cpu() {
            let rows = self.plan.next()?;
            let images =
                upload(&self.pack, &rows, &self.device).and_then(|images| images.tensor());
            return Some((rows, images));
        }
        let (rows, images) = self.next.take()?;
        let images = images.join().unwrap_or_else(|panic| resume_unwind(panic));
        let images = images.and_then(|images| images.tensor());
        self.start();
        Some((rows, images))
    }
}

impl Drop for ImageBatches {
    fn drop(&mut self) {
        // it would speak to a driver that is being shut down
        if let Some((_, images)) = self.next.take() {
            let _ = images.join();
        }
    }
}

#[cfg(test)]
mod tests {
    use artifact::{LabelKind, Labels, PackData, PackMeta, Provenance};

    use super::*;

    #[test]
    fn batches_come_in_the_order_of_the_plan() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("pack.safetensors");
        let meta = PackMeta {
            dataset: "five".into(),
            split: "train".into(),
            classes: vec!["one".into()],
            labels: LabelKind::Single,
            image_size: None,
        };
        let images = (0..5u8).flat_map(|i| [51 * i; 3]).collect();
        let labels = Labels::Single(vec![0; 5]);
        let data = PackData {
            meta,
            height: 1,
            width: 1,
            images,
            labels,
            masks: None,
            groups: None,
        };
        data.write(&path, &Provenance::default()).unwrap();
        let pack = Arc::new(Pack::open(&path).unwrap());

        let plan = vec![vec![4, 0], vec![2], vec![1, 3, 1]];
        let batches = ImageBatches::new(Arc::clone(&pack), plan.clone(), &Device::Cpu);
        let (rows, images): (Vec<_>, Vec<_>) = batches.unzip();
        assert_eq!(rows, plan);
        for (rows, images) in rows.iter().zip(images) {
            let expected: Vec<f32> =
                rows.iter().flat_map(|&row| [row as f32 / 5.0; 3]).collect();
            assert_eq!(ops::host(&images.unwrap()).unwrap(), expected);
        }
        assert!(ImageBatches::new(pack, Vec::new(), &Device::Cpu).next().is_none());
    }
}
