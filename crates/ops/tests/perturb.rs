//! Signs, and images that are pushed by them: by hand, and bit by bit alike on every device.

#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]

#[path = "common/devices.rs"]
mod devices;

use candle_core::{DType, Device, Tensor};
use devices::devices;
use ops::{
    bits,
    perturb::{pgd_step, push, signs},
    resize,
};

/// Numbers in \[0, 1\) which look random: the fractions of the golden ratio's multiples.
fn numbers(count: usize) -> Vec<f32> {
    (0..count).map(|i| (i as f32 * 0.618_034).fract()).collect()
}

fn tensor(values: &[f32], shape: &[usize], device: &Device) -> Tensor {
    Tensor::from_slice(values, shape, device).unwrap()
}

/// As gradients lie: with their channels last.
fn pixels(values: &[f32], shape: (usize, usize, usize, usize), device: &Device) -> Tensor {
    let planes = Tensor::from_slice(values, shape, &Device::Cpu).unwrap();
    let lying = planes.permute((0, 2, 3, 1)).unwrap().contiguous().unwrap();
    lying.to_device(device).unwrap().permute((0, 3, 1, 2)).unwrap()
}

#[test]
fn signs_are_those_of_the_values_in_the_order_of_planes() {
    // bytes that end with an image, and bytes that lie across its channels
    for shape in [(2, 3, 4, 8), (3, 3, 5, 3), (2, 1, 1, 1), (1, 4, 7, 7)] {
        let length = shape.1 * shape.2 * shape.3;
        let values: Vec<f32> =
            numbers(shape.0 * length).iter().map(|value| value - 0.5).collect();
        let expected: Vec<Vec<u8>> = values.chunks(length).map(bits::pack_signs).collect();
        for device in devices() {
            for values in [
                pixels(&values, shape, &device),
                tensor(&values, &[shape.0, shape.1, shape.2, shape.3], &device),
            ] {
                let found = signs(&values).unwrap();
                assert_eq!(found.bits.to_vec2::<u8>().unwrap(), expected, "{device:?}");
                assert_eq!(found.finite, vec![true; shape.0]);
            }
        }
    }
}

#[test]
fn zeros_are_positive_and_what_is_not_finite_is_told() {
    let values = [0.0, -0.0, -1e-38, 1.0, 0.5, f32::NAN, f32::INFINITY, 1.0, -1.0];
    for device in devices() {
        let found = signs(&pixels(&values, (3, 3, 1, 1), &device)).unwrap();
        assert_eq!(found.bits.to_vec2::<u8>().unwrap(), [[0b011], [0b111], [0b011]]);
        assert_eq!(found.finite, [true, false, false], "{device:?}");
    }
}

#[test]
fn what_matters_is_left_alone_and_the_rest_is_pushed() {
    let x = [0.5, 0.25, 0.5, 0.75];
    for device in devices() {
        let images = tensor(&[[9.0; 4], x].concat(), &[2, 2, 1, 2], &device);
        let bits = Tensor::new(&[[0b0110u8], [0b1001]], &device).unwrap();
        // by the map of the second the first pixel alone is background
        let maps = tensor(&[0.0, 0.0, 0.0, 1.0], &[2, 1, 2], &Device::Cpu);
        let pushed = push(&images, &[1, 1], &bits, &maps, &[0.125, 0.5]).unwrap();
        assert_eq!(pushed.dims(), [2, 2, 1, 2]);
        let expected = [0.375, 0.375, 1.0, 0.25, 0.625, 0.25, 0.0, 0.75f32];
        // a map reaches 1 but for the constant in its range
        let found = ops::host(&pushed).unwrap();
        let near = found.iter().zip(expected).all(|(f, e)| (f - e).abs() < 1e-6);
        assert!(near, "{found:?} on {device:?}");
    }
}

#[test]
fn a_map_is_brought_to_the_size_of_its_image() {
    for size in [(9, 13), (40, 30)] {
        assert_pushed(size);
    }
}

/// [`push`] of images of a size is what its parts make of them.
fn assert_pushed(size: (usize, usize)) {
    let steps = [0.1, 0.2, 0.3];
    let length = 3 * size.0 * size.1;
    let images = numbers(2 * length);
    let directions: Vec<f32> = numbers(3 * length).iter().map(|v| 0.4 - v).collect();
    for native in [(1, 1), (2, 3), (7, 7), (9, 13), (20, 30)] {
        let area = native.0 * native.1;
        let maps: Vec<f32> = numbers(3 * area).iter().map(|v| v * v).collect();
        let rows = [1, 0, 1];
        let mut expected = Vec::new();
        for (i, row) in rows.into_iter().enumerate() {
            let map = resize::full_size(&maps[i * area..][..area], native, size);
            let x = &images[row as usize * length..][..length];
            for (k, x) in x.iter().enumerate() {
                let sign = if directions[i * length + k] < 0.0 { -1.0 } else { 1.0 };
                let plane = size.0 * size.1;
                let step = steps[k / plane] * (1.0 - map[k % plane]);
                expected.push((x + step * sign).clamp(0.0, 1.0));
            }
        }
        for device in devices() {
            let shape = [2, 3, size.0, size.1];
            let directions = tensor(&directions, &[3, 3, size.0, size.1], &device);
            let bits = signs(&directions).unwrap().bits;
            let maps = tensor(&maps, &[3, native.0, native.1], &Device::Cpu);
            let images = tensor(&images, &shape, &device);
            let found = push(&images, &rows, &bits, &maps, &steps).unwrap();
            assert!(ops::host(&found).unwrap() == expected, "{native:?} on {device:?}");
        }
    }
}

#[test]
fn a_step_stays_near_the_image() {
    let clean = numbers(2 * 3 * 5 * 7);
    let start: Vec<f32> = clean.iter().map(|x| (x + 0.05).min(1.0)).collect();
    let directions: Vec<f32> = clean.iter().rev().map(|v| v - 0.5).collect();
    let (shape, epsilon) = ([2, 3, 5, 7], 0.0625f32);
    let expected: Vec<f32> = (0..clean.len())
        .map(|i| {
            let sign = if directions[i] < 0.0 { -1.0 } else { 1.0 };
            let (low, high) =
                ((clean[i] - epsilon).max(0.0), (clean[i] + epsilon).min(1.0));
            (start[i] + epsilon / 4.0 * sign).clamp(low, high)
        })
        .collect();
    for device in devices() {
        let there = |values: &[f32]| tensor(values, &shape, &device);
        let bits = signs(&there(&directions)).unwrap().bits;
        let found = pgd_step(&there(&clean), &there(&start), &bits, epsilon).unwrap();
        assert!(ops::host(&found).unwrap() == expected, "{device:?}");
    }
}

#[test]
fn what_does_not_fit_is_refused() {
    for device in devices() {
        let images = Tensor::zeros((2, 3, 2, 2), DType::F32, &device).unwrap();
        let bits = signs(&images).unwrap().bits;
        let maps = tensor(&[0.0; 2], &[2, 1, 1], &Device::Cpu);
        let refusal = |rows: &[u32], steps: &[f32]| {
            push(&images, rows, &bits, &maps, steps).unwrap_err().to_string()
        };
        assert!(refusal(&[], &[0.1; 3]).contains("signs of 0 images"));
        assert!(refusal(&[0, 2], &[0.1; 3]).contains("rows below 2, found 2"));
        assert!(refusal(&[0], &[0.1; 3]).contains("signs of 1 images"));
        assert!(refusal(&[0, 1], &[0.1; 2]).contains("2 steps"));
        let other = images.narrow(3, 0, 1).unwrap();
        let refusal = pgd_step(&images, &other, &bits, 0.1).unwrap_err().to_string();
        assert!(refusal.contains("images of one shape"), "{refusal}");
    }
}

#[test]
fn signs_may_lie_anywhere() {
    for device in devices() {
        let images = tensor(&[0.5; 3], &[3, 1, 1, 1], &device);
        let bits = Tensor::new(&[[1u8, 0, 1]], &device).unwrap().t().unwrap();
        let maps = Tensor::zeros((3, 1, 1), DType::F32, &Device::Cpu).unwrap();
        let pushed = push(&images, &[0, 1, 2], &bits, &maps, &[0.25]).unwrap();
        assert_eq!(ops::host(&pushed).unwrap(), [0.75, 0.25, 0.75], "{device:?}");
        let next = pgd_step(&images, &images, &bits, 0.25).unwrap();
        assert_eq!(ops::host(&next).unwrap(), [0.5625, 0.4375, 0.5625], "{device:?}");
    }
}
