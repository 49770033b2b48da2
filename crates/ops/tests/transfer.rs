//! Copies to and from a GPU.

#![cfg(feature = "cuda")]
#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]

use candle_core::{DType, Device, Tensor};
use ops::Precision;

fn gpu() -> Device {
    ops::gpu(Precision::F32).unwrap()
}

/// Numbers of both signs, some of them large.
fn numbers(count: usize, seed: usize) -> Vec<f32> {
    let number = |i: usize| ((i * 7919 + seed * 104_729) % 2003) as f32 / 100.0 - 10.0;
    (0..count).map(number).collect()
}

#[test]
fn values_arrive_and_come_back_in_their_order() {
    let device = gpu();
    // large ones beside each other, so that copies overlap and buffers are taken again
    for round in 0..8 {
        let uploads: Vec<_> = [3 << 20, 5, 1 << 20, 4097]
            .into_iter()
            .enumerate()
            .map(|(i, count)| {
                let values = numbers(count, 10 * round + i);
                let fill = |to: &mut [f32]| to.copy_from_slice(&values);
                (ops::upload(count, &device, fill).unwrap(), values.clone())
            })
            .collect();
        // some are never looked at, and their memory is taken again
        let later: Vec<_> = uploads
            .iter()
            .skip(round % 2)
            .map(|(upload, values)| {
                let twice = (upload.tensor().unwrap() * 2.0).unwrap();
                (ops::later(&twice).unwrap(), values)
            })
            .collect();
        for (found, values) in later {
            let expected: Vec<f32> = values.iter().map(|v| v * 2.0).collect();
            assert!(found.values().unwrap() == expected, "round {round}");
        }
    }
}

#[test]
fn pixels_come_back_as_planes_and_bf16_as_f32() {
    let device = gpu();
    let values = numbers(2 * 3 * 4 * 5, 1);
    let x = Tensor::from_vec(values, (2, 4, 5, 3), &device).unwrap();
    let x = x.permute((0, 3, 1, 2)).unwrap();
    let expected: Vec<f32> =
        x.contiguous().unwrap().flatten_all().unwrap().to_vec1().unwrap();
    assert_eq!(ops::host(&x).unwrap(), expected);

    let whole: Vec<f32> = (0..60).map(|i| i as f32).collect();
    let y = Tensor::from_slice(&whole, (3, 20), &device).unwrap();
    assert_eq!(ops::host(&y.to_dtype(DType::BF16).unwrap()).unwrap(), whole);
}
