//! Every reader on a tiny dataset in the layout that its owners publish.

#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]

mod backgrounds;
mod cub;
mod fixture;
mod folder;
mod stl10;
mod voc;
