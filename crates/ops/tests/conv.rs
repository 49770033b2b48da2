//! Convolution against its definition, summed in f64 with plain loops; on every device, but for
//! what the CPU alone promises.

#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]

#[path = "common/devices.rs"]
mod devices;

use candle_core::{Device, Result, Tensor, Var};
use devices::devices;
use ops::{Conv2d, Gradients, Node, conv2d};

/// Numbers in [-1, 1) that differ from each other, from a linear congruence.
fn values(len: usize, seed: u64) -> Vec<f32> {
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    let next = |_| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (state >> 40) as f32 / (1u64 << 23) as f32 - 1.0
    };
    (0..len).map(next).collect()
}

#[derive(Clone, Copy, Debug)]
struct Case {
    /// Images, channels, height, width.
    x: [usize; 4],
    /// Output channels, kernel's height and width.
    w: [usize; 3],
    conv: Conv2d,
}

/// Input, weights, bias and gradient of the result, or the result and three gradients.
type Four = [Vec<f32>; 4];

impl Case {
    fn new(
        x: [usize; 4],
        w: [usize; 3],
        stride: (usize, usize),
        padding: (usize, usize),
    ) -> Self {
        let conv = Conv2d { stride, padding, ..Conv2d::default() };
        Self { x, w, conv }
    }

    fn dilated(mut self, dilation: (usize, usize)) -> Self {
        self.conv.dilation = dilation;
        self
    }

    fn grouped(mut self, groups: usize) -> Self {
        self.conv.groups = groups;
        self
    }

    fn weights(&self) -> [usize; 4] {
        let [o, kh, kw] = self.w;
        [o, self.x[1] / self.conv.groups, kh, kw]
    }

    fn result(&self) -> [usize; 4] {
        let Conv2d { stride: s, padding: p, dilation: d, .. } = self.conv;
        let ([n, _, h, w], [o, kh, kw]) = (self.x, self.w);
        let height = (h + 2 * p.0 - d.0 * (kh - 1) - 1) / s.0 + 1;
        let width = (w + 2 * p.1 - d.1 * (kw - 1) - 1) / s.1 + 1;
        [n, o, height, width]
    }

    fn inputs(&self) -> Four {
        let len = |shape: [usize; 4]| shape.iter().product::<usize>();
        [
            values(len(self.x), 1),
            values(len(self.weights()), 2),
            values(self.w[0], 3),
            values(len(self.result()), 4),
        ]
    }

    /// Calls `f` with the indices of result, input and weight of every product.
    fn products(&self, mut f: impl FnMut(usize, usize, usize)) {
        let Conv2d { stride: s, padding: p, dilation: d, groups } = self.conv;
        let [_, channels, h, w] = self.x;
        let ([n, o, height, width], [_, inputs, kh, kw]) = (self.result(), self.weights());
        for n in 0..n {
            for (o, c) in (0..o).flat_map(|o| (0..inputs).map(move |c| (o, c))) {
                for (i, j) in (0..height).flat_map(|i| (0..width).map(move |j| (i, j))) {
                    for (k, l) in (0..kh).flat_map(|k| (0..kw).map(move |l| (k, l))) {
                        let (y, x) = (i * s.0 + k * d.0, j * s.1 + l * d.1);
                        if y < p.0 || x < p.1 || y - p.0 >= h || x - p.1 >= w {
                            continue;
                        }
                        let input = o / (self.w[0] / groups) * inputs + c;
                        let from = ((n * channels + input) * h + y - p.0) * w + x - p.1;
                        let to = ((n * self.w[0] + o) * height + i) * width + j;
                        f(to, from, ((o * inputs + c) * kh + k) * kw + l);
                    }
                }
            }
        }
    }

    /// Result and gradients from the definition.
    fn expected(&self) -> Four {
        let [x, w, b, g] = self.inputs().map(|v| v.into_iter().map(f64::from).collect());
        let (x, w, b, g): (Vec<f64>, Vec<f64>, Vec<f64>, Vec<f64>) = (x, w, b, g);
        let plane = self.result()[2] * self.result()[3];
        let channel = |to: usize| to / plane % self.w[0];
        let mut y: Vec<f64> = (0..g.len()).map(|to| b[channel(to)]).collect();
        let (mut dx, mut dw) = (vec![0.0; x.len()], vec![0.0; w.len()]);
        self.products(|to, from, weight| {
            y[to] += w[weight] * x[from];
            dx[from] += w[weight] * g[to];
            dw[weight] += x[from] * g[to];
        });
        let mut db = vec![0.0; b.len()];
        for (to, g) in g.iter().enumerate() {
            db[channel(to)] += g;
        }
        [y, dx, dw, db].map(|v| v.into_iter().map(|v| v as f32).collect())
    }

    /// Result and gradients from the operator.
    fn found(&self, device: &Device) -> Result<Four> {
        let [x, w, b, g] = self.inputs();
        let x = Var::from_vec(x, &self.x, device)?;
        let w = Var::from_vec(w, &self.weights(), device)?;
        let b = Var::from_vec(b, self.w[0], device)?;
        let g = Tensor::from_vec(g, &self.result(), device)?;
        let bias = Node::from(&b);
        let y = conv2d(&Node::from(&x), &Node::from(&w), Some(&bias), self.conv)?;
        let grads = y.clone().backward(&g)?;
        let grad = |v: &Var| ops::host(grads.get(v).unwrap());
        Ok([ops::host(&y)?, grad(&x)?, grad(&w)?, grad(&b)?])
    }
}

fn assert_close(found: &[f32], expected: &[f32], tolerance: f32, what: &str) {
    assert_eq!(found.len(), expected.len(), "{what}");
    let scale = expected.iter().fold(1.0f32, |m, v| m.max(v.abs()));
    for (i, (found, expected)) in found.iter().zip(expected).enumerate() {
        let difference = (found - expected).abs();
        assert!(
            difference <= tolerance * scale,
            "{what}: element {i} is {found}, expected {expected}"
        );
    }
}

/// Sizes, kernels, strides, paddings, dilations, groups and batches of all kinds.
fn cases() -> Vec<Case> {
    let one = (1, 1);
    vec![
        Case::new([1, 1, 5, 7], [1, 3, 3], one, one),
        Case::new([3, 3, 9, 8], [5, 3, 3], one, one),
        Case::new([1, 16, 13, 17], [16, 3, 3], one, one),
        Case::new([3, 5, 8, 8], [16, 3, 3], (2, 2), one),
        Case::new([1, 40, 11, 6], [40, 3, 3], one, one),
        Case::new([3, 3, 19, 23], [16, 7, 7], (2, 2), (3, 3)),
        Case::new([1, 5, 10, 9], [3, 5, 5], (3, 3), (2, 2)),
        Case::new([3, 16, 6, 7], [5, 2, 2], (2, 2), (0, 0)),
        Case::new([1, 3, 8, 9], [5, 2, 2], one, one),
        Case::new([3, 5, 7, 12], [5, 1, 3], one, (0, 1)),
        Case::new([1, 5, 12, 7], [16, 3, 2], (1, 2), (2, 0)),
        Case::new([3, 3, 9, 14], [5, 3, 3], (2, 1), (0, 3)),
        Case::new([1, 3, 9, 14], [5, 3, 3], (1, 3), (3, 0)),
        Case::new([3, 5, 12, 13], [5, 3, 3], one, (2, 2)).dilated((2, 2)),
        Case::new([1, 5, 12, 13], [5, 3, 3], (2, 2), one).dilated((2, 1)),
        Case::new([1, 5, 15, 13], [5, 5, 3], (3, 2), (1, 3)).dilated((1, 2)),
        Case::new([3, 16, 9, 9], [40, 1, 1], (2, 2), (0, 0)),
        Case::new([1, 16, 8, 9], [5, 1, 1], (2, 3), (0, 0)),
        Case::new([3, 40, 5, 6], [16, 1, 1], one, (0, 0)),
        Case::new([3, 5, 17, 19], [40, 1, 1], one, (0, 0)),
        Case::new([1, 16, 45, 46], [70, 1, 1], one, (0, 0)),
        Case::new([1, 5, 6, 6], [3, 1, 1], one, one),
        Case::new([3, 16, 9, 8], [40, 3, 3], one, one).grouped(2),
        Case::new([1, 16, 9, 8], [6, 3, 3], (2, 2), one).grouped(2),
        Case::new([3, 16, 9, 8], [16, 1, 1], one, (0, 0)).grouped(2),
        Case::new([3, 16, 17, 20], [16, 3, 3], one, one).grouped(16),
        Case::new([1, 5, 16, 15], [5, 3, 3], (2, 2), one).grouped(5),
        Case::new([3, 5, 11, 40], [5, 5, 5], (2, 2), (2, 2)).grouped(5),
        Case::new([1, 3, 12, 13], [3, 3, 2], (3, 1), (0, 2)).dilated((1, 2)).grouped(3),
        Case::new([20, 3, 7, 7], [3, 3, 3], one, one).grouped(3),
        Case::new([3, 5, 9, 10], [10, 3, 3], one, one).grouped(5),
        Case::new([1, 5, 9, 10], [10, 3, 3], (2, 2), one).grouped(5),
        Case::new([1, 3, 1, 1], [4, 3, 3], one, one),
        Case::new([3, 3, 2, 2], [4, 3, 3], (2, 2), one),
        Case::new([3, 40, 3, 3], [70, 3, 3], one, one),
        Case::new([3, 3, 5, 4], [4, 2, 2], (3, 3), (3, 3)),
        Case::new([17, 16, 6, 7], [5, 3, 3], one, one),
        Case::new([16, 40, 3, 3], [40, 3, 3], one, one),
        Case::new([9, 40, 7, 5], [12, 3, 2], (2, 1), (1, 2)),
        Case::new([8, 16, 9, 9], [12, 3, 3], (2, 2), one).dilated((1, 2)),
        Case::new([20, 130, 3, 4], [16, 1, 1], one, (0, 0)),
        Case::new([11, 32, 5, 5], [24, 3, 3], one, one).grouped(2),
        Case::new([10, 16, 2, 2], [5, 5, 5], one, (2, 2)),
        Case::new([2, 64, 11, 10], [66, 3, 3], one, one),
        Case::new([1, 65, 12, 33], [64, 3, 3], one, (0, 0)),
        Case::new([9, 64, 9, 11], [70, 3, 3], one, (2, 1)),
        Case::new([2, 130, 6, 7], [128, 3, 3], one, one),
        Case::new([5, 128, 7, 8], [140, 3, 3], one, (0, 0)),
        Case::new([2, 3, 20, 21], [40, 7, 7], (2, 2), (3, 3)),
        Case::new([3, 4, 9, 1], [33, 3, 3], one, one),
        Case::new([1, 3, 1, 5], [4, 1, 3], (2, 1), (1, 1)),
        // rows that are read where they lie: half of a second vector, and two parts of a patch
        Case::new([3, 24, 9, 9], [16, 1, 1], one, (0, 0)),
        Case::new([2, 300, 9, 9], [8, 1, 1], one, (0, 0)),
        // depthwise, whole vectors of channels and a rest: several tasks, long rows, taps in threes
        Case::new([2, 40, 31, 70], [40, 3, 3], one, one).grouped(40),
        Case::new([1, 20, 13, 15], [20, 3, 3], (2, 2), (2, 2)).dilated((2, 2)).grouped(20),
        Case::new([2, 20, 9, 9], [20, 1, 3], one, (0, 1)).grouped(20),
        Case::new([2, 20, 9, 1], [20, 3, 1], one, (1, 0)).grouped(20),
        Case::new([1, 5, 9, 11], [5, 3, 6], one, (1, 2)).grouped(5),
    ]
}

#[test]
fn results_and_gradients_are_those_of_the_definition() -> Result<()> {
    for case in cases() {
        let expected = case.expected();
        for device in devices() {
            let found = case.found(&device)?;
            let tolerance = if device.is_cpu() { 2e-6 } else { 1e-5 };
            for (i, what) in ["y", "dx", "dw", "db"].into_iter().enumerate() {
                let what = format!("{what} of {case:?} on {:?}", device.location());
                assert_close(&found[i], &expected[i], tolerance, &what);
            }
        }
    }
    Ok(())
}

#[test]
fn the_result_of_an_image_does_not_depend_on_its_batch() -> Result<()> {
    for case in cases() {
        let alone = Case { x: [1, case.x[1], case.x[2], case.x[3]], ..case };
        let nine = Case { x: [9, case.x[1], case.x[2], case.x[3]], ..case };
        let [x, w, b, g] = nine.inputs();
        let run = |case: Case, n: usize| -> Result<(Vec<f32>, Vec<f32>)> {
            let (images, last) = (case.x[0], n + case.x[0]);
            let part = |v: &[f32]| v[n * v.len() / 9..last * v.len() / 9].to_vec();
            let x = Var::from_vec(part(&x), &case.x, &Device::Cpu)?;
            let w = Tensor::from_vec(w.clone(), &case.weights(), &Device::Cpu)?;
            let b = Tensor::from_vec(b.clone(), case.w[0], &Device::Cpu)?;
            let g = Tensor::from_vec(part(&g), &case.result(), &Device::Cpu)?;
            let bias = Node::from(&b);
            let y = conv2d(&Node::from(&x), &Node::from(&w), Some(&bias), case.conv)?;
            let grads = y.clone().backward(&g)?;
            let dx = grads.get(&x).unwrap().flatten_all()?.to_vec1()?;
            assert_eq!(images, y.dims()[0]);
            Ok((y.flatten_all()?.to_vec1()?, dx))
        };
        let (y, dx) = run(nine, 0)?;
        for n in 0..9 {
            let (y_alone, dx_alone) = run(alone, n)?;
            assert_eq!(y[n * y.len() / 9..][..y.len() / 9], y_alone, "{case:?}");
            assert_eq!(dx[n * dx.len() / 9..][..dx.len() / 9], dx_alone, "{case:?}");
        }
    }
    Ok(())
}

#[test]
fn nothing_depends_on_the_number_of_threads() -> Result<()> {
    let on = |threads: usize, case: &Case| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| case.found(&Device::Cpu))
    };
    for case in cases() {
        let one = on(1, &case)?;
        for threads in [2, 5] {
            assert!(on(threads, &case)? == one, "{threads} threads, {case:?}");
        }
    }
    Ok(())
}

#[test]
fn gradients_are_the_central_differences() -> Result<()> {
    // The loss is linear in each argument, so the difference has no error but rounding.
    let loss = |case: &Case, [x, w, b, g]: &Four, device: &Device| -> Result<f32> {
        let x = Node::from(&Tensor::from_slice(x, &case.x, device)?);
        let w = Node::from(&Tensor::from_slice(w, &case.weights(), device)?);
        let b = Node::from(&Tensor::from_slice(b, case.w[0], device)?);
        let y = ops::host(conv2d(&x, &w, Some(&b), case.conv)?.tensor())?;
        Ok(y.iter().zip(g).map(|(y, g)| y * g).sum())
    };
    let small = [
        Case::new([2, 3, 5, 4], [4, 3, 3], (1, 1), (1, 1)),
        Case::new([2, 2, 5, 6], [3, 3, 2], (2, 1), (0, 2)),
        Case::new([2, 3, 6, 5], [3, 3, 3], (2, 2), (1, 1)).grouped(3),
        Case::new([2, 3, 4, 4], [5, 1, 1], (1, 1), (0, 0)),
    ];
    let everywhere =
        small.iter().flat_map(|case| devices().map(move |device| (case, device)));
    for (case, device) in everywhere {
        let [_, gradients @ ..] = case.found(&device)?;
        for (argument, gradient) in gradients.iter().enumerate() {
            for (i, &gradient) in gradient.iter().enumerate() {
                let (mut above, mut below) = (case.inputs(), case.inputs());
                above[argument][i] += 0.5;
                below[argument][i] -= 0.5;
                let difference =
                    loss(case, &above, &device)? - loss(case, &below, &device)?;
                assert!(
                    (difference - gradient).abs() < 2e-4,
                    "{case:?}: argument {argument}, element {i}: {difference}, {gradient}"
                );
            }
        }
    }
    Ok(())
}

#[test]
fn a_gradient_that_nobody_wants_is_absent() -> Result<()> {
    let geometries = [
        Case::new([2, 3, 5, 5], [4, 3, 3], (1, 1), (1, 1)),
        Case::new([2, 3, 5, 5], [3, 3, 3], (1, 1), (1, 1)).grouped(3),
        Case::new([2, 3, 16, 17], [3, 1, 1], (1, 1), (0, 0)),
    ];
    for (case, device) in
        geometries.iter().flat_map(|case| devices().map(move |d| (case, d)))
    {
        let [x, w, b, _] = case.inputs();
        let x = Var::from_vec(x, &case.x, &device)?;
        let w = Var::from_vec(w, &case.weights(), &device)?;
        let b = Var::from_vec(b, case.w[0], &device)?;
        let fixed = |v: &Var| Node::from(v.as_tensor());
        let gradients = |x: &Node, w: &Node, b: &Node| -> Result<Gradients> {
            let y = conv2d(x, w, Some(b), case.conv)?;
            let ones = y.ones_like()?;
            y.backward(&ones)
        };

        let grads = gradients(&Node::from(&x), &fixed(&w), &fixed(&b))?;
        assert!(grads.get(&x).is_some() && grads.get(&w).is_none());

        let grads = gradients(&fixed(&x), &Node::from(&w), &fixed(&b))?;
        assert!(grads.get(&w).is_some() && grads.get(&x).is_none());

        let grads = gradients(&fixed(&x), &fixed(&w), &Node::from(&b))?;
        assert!(grads.get(&b).is_some() && grads.get(&w).is_none());
    }
    Ok(())
}

#[test]
fn arguments_that_are_not_contiguous_are_read_in_their_order() -> Result<()> {
    let case = Case::new([2, 3, 5, 4], [4, 3, 3], (1, 1), (1, 1));
    let [x, w, ..] = case.inputs();
    for device in devices() {
        let x = Tensor::from_slice(&x, &case.x, &device)?;
        let w = Node::from(&Tensor::from_slice(&w, &case.weights(), &device)?);
        let turned = x.transpose(2, 3)?.contiguous()?.transpose(2, 3)?;
        let expected = conv2d(&Node::from(&x), &w, None, case.conv)?;
        let found = conv2d(&Node::from(&turned), &w, None, case.conv)?;
        assert_eq!(ops::host(&found)?, ops::host(&expected)?);
    }
    Ok(())
}

#[test]
fn shapes_that_do_not_fit_are_named() -> Result<()> {
    let zeros = |shape: &[usize]| -> Result<Node> {
        Ok(Node::from(&Tensor::zeros(shape, candle_core::DType::F32, &Device::Cpu)?))
    };
    let said = |x: &[usize], w: &[usize], b: &[usize], conv: Conv2d| -> Result<String> {
        let error = conv2d(&zeros(x)?, &zeros(w)?, Some(&zeros(b)?), conv).unwrap_err();
        Ok(error.to_string())
    };
    let plain = Conv2d::default();
    let x = [1, 3, 5, 5];
    let error = said(&x, &[4, 2, 3, 3], &[4], plain)?;
    assert!(error.contains("do not fit 1 groups"), "{error}");
    let error = said(&x, &[4, 3, 3, 3], &[3], plain)?;
    assert!(error.contains("expects a bias [4], found [3]"), "{error}");
    let error = said(&x, &[4, 3, 7, 7], &[4], plain)?;
    assert!(error.contains("reaches over 7 elements, the padded input has 5"), "{error}");
    let error = said(&[3, 5, 5], &[4, 3, 3, 3], &[4], plain)?;
    assert!(error.contains("expects an input [N, C, H, W], found [3, 5, 5]"), "{error}");
    let double = Node::from(&zeros(&x)?.to_dtype(candle_core::DType::F64)?);
    let error =
        conv2d(&double, &zeros(&[4, 3, 3, 3])?, None, plain).unwrap_err().to_string();
    assert!(error.contains("on a GPU, found F64"), "{error}");
    Ok(())
}
