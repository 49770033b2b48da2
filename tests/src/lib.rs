//! Tests that need the whole workspace; each file beside this folder is one.
