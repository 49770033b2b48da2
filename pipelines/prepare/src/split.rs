use artifact::{Label, PackData, Samples};

/// A pack to be written, and where its images come from.
pub(crate) struct Split {
    pub(crate) pack: PackData,
    /// The origin of each image.
    pub(crate) sources: Vec<String>,
}

impl Split {
    /// Adds a row for each image.
    pub(crate) fn list(&self, samples: &mut Samples) {
        let classes = &self.pack.meta.classes;
        for (row, source) in self.sources.iter().enumerate() {
            let (label, class) = match self.pack.labels.row(row) {
                Label::Single(class) => {
                    (Some(class as i32), classes[class as usize].clone())
                }
                Label::Multi(hot) => (None, names(classes, hot).join(",")),
            };
            samples.split.push(self.pack.meta.split.clone());
            samples.sample.push(row as u32);
            samples.source.push(source.clone());
            samples.label.push(label);
            samples.class.push(class);
            samples.group.push(self.pack.groups.as_ref().map(|groups| groups[row]));
        }
    }

    /// Says how many images there are of each class, and warns of classes without.
    pub(crate) fn log(&self) {
        let meta = &self.pack.meta;
        let mut counts = vec![0; meta.classes.len()];
        for row in 0..self.pack.labels.len() {
            match self.pack.labels.row(row) {
                Label::Single(class) => counts[class as usize] += 1,
                Label::Multi(hot) => {
                    for (count, &hot) in counts.iter_mut().zip(hot) {
                        *count += usize::from(hot);
                    }
                }
            }
        }
        let each: Vec<String> = meta
            .classes
            .iter()
            .zip(&counts)
            .map(|(name, count)| format!("{name} {count}"))
            .collect();
        tracing::info!(
            "{}: {} images; {}",
            meta.split,
            self.sources.len(),
            each.join(", ")
        );
        let missing: Vec<&str> = (meta.classes.iter().zip(&counts))
            .filter(|&(_, &count)| count == 0)
            .map(|(name, _)| name.as_str())
            .collect();
        if !missing.is_empty() {
            tracing::warn!("{}: no images of {}", meta.split, missing.join(", "));
        }
    }
}

fn names<'a>(classes: &'a [String], hot: &[u8]) -> Vec<&'a str> {
    classes
        .iter()
        .zip(hot)
        .filter(|&(_, &hot)| hot == 1)
        .map(|(name, _)| name.as_str())
        .collect()
}
