//! Containers (AnnData, MuData) and the files they come from and go to.
