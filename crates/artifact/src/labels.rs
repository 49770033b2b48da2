use std::fmt;

use serde::{Deserialize, Serialize};

/// Whether an image has exactly one class or any number of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LabelKind {
    /// Exactly one.
    #[default]
    Single,
    /// Any number.
    Multi,
}

impl fmt::Display for LabelKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Single => "single",
            Self::Multi => "multi",
        })
    }
}

/// The labels of N images.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Labels {
    /// One class index an image; length N.
    Single(Vec<i64>),
    /// A set of classes an image.
    Multi {
        /// K, the number of classes.
        classes: usize,
        /// 1 where the image has the class, else 0; `[N, K]`, row-major.
        hot: Vec<u8>,
    },
}

/// The label of one image.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Label<'a> {
    /// Its class index.
    Single(i64),
    /// 1 for each class it has, else 0; length K.
    Multi(&'a [u8]),
}

impl Label<'_> {
    /// Whether the image has the class: a prediction of it is correct.
    ///
    /// ```
    /// use artifact::Label;
    ///
    /// assert!(Label::Single(2).has(2) && !Label::Single(2).has(0));
    /// assert!(Label::Multi(&[1, 0, 1]).has(0) && !Label::Multi(&[1, 0, 1]).has(1));
    /// ```
    pub fn has(self, class: i64) -> bool {
        match self {
            Self::Single(label) => label == class,
            Self::Multi(hot) => {
                usize::try_from(class).is_ok_and(|class| hot.get(class) == Some(&1))
            }
        }
    }
}

impl Labels {
    /// N, the number of images.
    pub fn len(&self) -> usize {
        match self {
            Self::Single(labels) => labels.len(),
            Self::Multi { classes, hot } => hot.len().checked_div(*classes).unwrap_or(0),
        }
    }

    /// Whether there is no image.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Which kind they are.
    pub fn kind(&self) -> LabelKind {
        match self {
            Self::Single(_) => LabelKind::Single,
            Self::Multi { .. } => LabelKind::Multi,
        }
    }

    /// The label of image `i`.
    ///
    /// # Panics
    ///
    /// If there is no such image.
    pub fn row(&self, i: usize) -> Label<'_> {
        match self {
            Self::Single(labels) => Label::Single(labels[i]),
            Self::Multi { classes, hot } => {
                Label::Multi(&hot[i * classes..(i + 1) * classes])
            }
        }
    }

    /// The labels of the images `rows`, in that order.
    ///
    /// ```
    /// use artifact::Labels;
    ///
    /// let labels = Labels::Multi { classes: 2, hot: vec![0, 1, 1, 0, 1, 1] };
    /// let chosen = Labels::Multi { classes: 2, hot: vec![1, 1, 0, 1] };
    /// assert_eq!(labels.select(&[2, 0]), chosen);
    /// ```
    ///
    /// # Panics
    ///
    /// If there is no such image.
    #[must_use]
    pub fn select(&self, rows: &[usize]) -> Self {
        match self {
            Self::Single(labels) => Self::Single(rows.iter().map(|&i| labels[i]).collect()),
            Self::Multi { classes, hot } => {
                let row = |&i: &usize| &hot[i * classes..(i + 1) * classes];
                Self::Multi {
                    classes: *classes,
                    hot: rows.iter().flat_map(row).copied().collect(),
                }
            }
        }
    }

    /// The first image whose label is not one of `classes`, described for an error message.
    pub(crate) fn first_bad(&self, classes: usize) -> Option<String> {
        match self {
            Self::Single(labels) => {
                let good = |&label: &i64| {
                    usize::try_from(label).is_ok_and(|label| label < classes)
                };
                let i = labels.iter().position(|label| !good(label))?;
                Some(format!("{} at sample {i}", labels[i]))
            }
            Self::Multi { classes: columns, hot } => {
                let i = hot.iter().position(|&hot| hot > 1)?;
                let (sample, class) = (i / columns, i % columns);
                Some(format!("{} at sample {sample}, class {class}", hot[i]))
            }
        }
    }
}
