//! The networks against torchvision's and timm's, and what their interface promises.
#![cfg(test)]

mod formula;
mod loading;
mod network;
mod parity;
