//! weft and its peers measured in one run.
