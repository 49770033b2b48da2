//! The maps of the perturbed images.

use artifact::{Directions, Labels, Perturbations};
use attack::EpsilonUnit;
use explain::Target;
use fixtures::assert_input;

use crate::setup::{
    ATTACKED, IMAGES, PIXELS, SIZE, TINY, expected, explain_to, explained, labels, prepare,
    read, signs, write_perturbations,
};

const CORRECT: [u32; 3] = [0, 2, 4];

#[test]
fn the_correctly_predicted_images_are_explained_under_attack() {
    let dir = tempfile::tempdir().unwrap();
    prepare(dir.path(), &[]);
    let clean = read(dir.path(), "maps.safetensors");
    for (unit, unit_name) in
        [(EpsilonUnit::Pixel, "pixel"), (EpsilonUnit::Normalized, "normalized")]
    {
        let flags = [&ATTACKED[..], &["--epsilon-unit", unit_name]].concat();
        let maps = explained(dir.path(), &flags);

        let mut perturbed = Vec::new();
        for sample in CORRECT {
            let x = &TINY.pixels()[sample as usize * PIXELS..][..PIXELS];
            let size = (clean.height, clean.width);
            let map = explain::full_size(clean.map(sample as usize), size, (SIZE, SIZE));
            let mut out = vec![0.0; PIXELS];
            let step = attack::step(0.25, unit, TINY.norm.std);
            attack::compose(
                x,
                attack::Direction::Signs(&signs(sample)),
                &map,
                step,
                &mut out,
            );
            perturbed.extend(out);
        }
        let expected = expected(&perturbed, Target::Predicted);
        assert_eq!(maps.sample, CORRECT);
        assert_eq!(maps.maps, expected.maps);
        assert_eq!(maps.predicted, expected.predicted);
        assert_eq!(maps.target, expected.predicted);
        assert_eq!(maps.labels, Labels::Single(labels()).select(&[0, 2, 4]));
        assert_eq!(maps.meta.epsilon, Some(0.25));
        assert_eq!(maps.meta.epsilon_unit.as_deref(), Some(unit_name));
        let provenance = maps.provenance.unwrap();
        for role in ["maps", "perturbations"] {
            let file = dir.path().join(format!("{role}.safetensors"));
            assert_input(&provenance, role, &file);
        }
    }
}

#[test]
fn without_a_push_nothing_moves() {
    let dir = tempfile::tempdir().unwrap();
    for target in ["predicted", "label"] {
        prepare(dir.path(), &["--target", target]);
        let clean = read(dir.path(), "maps.safetensors");
        let flags = [&ATTACKED[..5], &["0", "--target", target]].concat();
        let maps = explained(dir.path(), &flags);
        for (i, sample) in CORRECT.into_iter().enumerate() {
            assert_eq!(maps.map(i), clean.map(sample as usize));
            assert_eq!(maps.target[i], clean.target[sample as usize]);
        }
    }
}

#[test]
fn a_dense_direction_of_somebody_else_is_taken() {
    let dir = tempfile::tempdir().unwrap();
    prepare(dir.path(), &[]);
    let signs = explained(dir.path(), &ATTACKED);
    let delta = (0..IMAGES as u32)
        .flat_map(|sample| ops::bits::unpack_signs(&crate::setup::signs(sample), PIXELS));
    Perturbations {
        directions: Directions::Delta(delta.collect()),
        sample: (0..IMAGES as u32).collect(),
        height: SIZE,
        width: SIZE,
        provenance: None,
    }
    .write(&dir.path().join("perturbations.safetensors"))
    .unwrap();
    assert_eq!(explained(dir.path(), &ATTACKED).maps, signs.maps);
}

#[test]
fn a_map_that_says_nothing_protects_nothing() {
    let dir = tempfile::tempdir().unwrap();
    prepare(dir.path(), &[]);
    let mut clean = read(dir.path(), "maps.safetensors");
    clean.status = vec![1, 0, 2, 0, 0];
    clean.write(&dir.path().join("maps.safetensors")).unwrap();
    let maps = explained(dir.path(), &ATTACKED);

    let x = &TINY.pixels()[..PIXELS];
    let mut out = vec![0.0; PIXELS];
    let direction = signs(0);
    let direction = attack::Direction::Signs(&direction);
    attack::compose(x, direction, &[0.0; SIZE * SIZE], [0.25; 3], &mut out);
    assert_eq!(maps.sample, CORRECT);
    assert_eq!(maps.map(0), expected(&out, Target::Predicted).maps);
}

#[test]
fn without_a_correct_prediction_the_table_is_empty() {
    let dir = tempfile::tempdir().unwrap();
    prepare(dir.path(), &[]);
    TINY.write_pack(dir.path(), Labels::Single(TINY.labels(&[0, 1, 2, 3, 4])));
    write_perturbations(dir.path(), &[0, 1, 2, 3, 4]);
    assert!(explain_to(dir.path(), "maps.safetensors", &[]).status.success());
    let maps = explained(dir.path(), &ATTACKED);
    assert!(maps.is_empty());
    assert_eq!((maps.height, maps.width, maps.classes), (4, 4, 3));
}
