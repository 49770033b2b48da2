//! What the stages leave on disk for one another.
//!
//! One module per kind of file. Each knows its schema, checks what it reads against it,
//! and writes atomically and without clock or host name: a file that exists is whole, and
//! equal contents are equal bytes. Tensors travel as safetensors, tables as Parquet; both
//! say under the key `consonance` what they were made by and from ([`Provenance`]).

pub mod atomic;
mod comparison;
mod contents;
mod error;
mod evaluation;
mod labels;
mod maps;
mod maps_meta;
mod model;
mod optimizer;
mod pack;
mod pack_data;
mod pairs;
mod perturbations;
mod provenance;
mod samples;
mod scores;
mod table;
mod tensors;
mod training;
mod values;
mod weights;

pub use comparison::Comparison;
pub use error::{Error, Result};
pub use evaluation::Evaluation;
pub use labels::{Label, LabelKind, Labels};
pub use maps::Maps;
pub use maps_meta::MapsMeta;
pub use model::{ModelFile, ModelMeta};
pub use optimizer::{OptimizerFile, OptimizerState};
pub use pack::{Pack, PackMeta};
pub use pack_data::PackData;
pub use pairs::Pairs;
pub use perturbations::{Direction, Directions, Perturbations};
pub use provenance::{Provenance, agree, digest, made_from};
pub use samples::Samples;
pub use scores::Scores;
pub use training::Training;
pub use values::Values;
pub use weights::Weights;
