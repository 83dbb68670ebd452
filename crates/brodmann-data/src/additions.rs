//! What is added to a copy of a file.

use indexmap::IndexMap;

use crate::{AnnData, Column, DataError, Matrix, MuData, Value};

/// Elements added to one modality, or to the whole of a `.h5mu`; elements of the same key are replaced.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ElementAdditions {
    /// Replaces `X`.
    pub x: Option<Matrix>,
    /// Added to `layers`.
    pub layers: IndexMap<String, Matrix>,
    /// Columns added to `obs`, at the end of `column-order` when new.
    pub obs: IndexMap<String, Column>,
    /// Columns added to `var`.
    pub var: IndexMap<String, Column>,
    /// Added to `obsm`.
    pub obsm: IndexMap<String, Value>,
    /// Added to `varm`.
    pub varm: IndexMap<String, Value>,
    /// Added to `obsp`.
    pub obsp: IndexMap<String, Matrix>,
    /// Added to `varp`.
    pub varp: IndexMap<String, Matrix>,
    /// Added to `uns`; a dictionary replaces the whole entry.
    pub uns: IndexMap<String, Value>,
}

impl ElementAdditions {
    /// Whether there is nothing to add.
    pub fn is_empty(&self) -> bool {
        self.x.is_none()
            && self.layers.is_empty()
            && self.obs.is_empty()
            && self.var.is_empty()
            && self.obsm.is_empty()
            && self.varm.is_empty()
            && self.obsp.is_empty()
            && self.varp.is_empty()
            && self.uns.is_empty()
    }

    /// Refuses what the whole of several modalities has no place for.
    ///
    /// # Errors
    /// [`DataError::Kind`].
    pub(crate) fn require_whole(&self) -> Result<(), DataError> {
        let layer = self.layers.keys().next().map(|key| format!("layers[{key:?}]"));
        match self.x.as_ref().map(|_| "X".to_owned()).or(layer) {
            None => Ok(()),
            Some(element) => Err(DataError::Kind {
                element,
                found: "an addition to the whole of several modalities".to_owned(),
                expected: "an addition to one of them".to_owned(),
            }),
        }
    }
}

/// Elements added to a file.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Additions {
    /// To the AnnData of a `.h5ad`, or to the whole of a `.h5mu`.
    pub root: ElementAdditions,
    /// To modalities of a `.h5mu`.
    pub modalities: IndexMap<String, ElementAdditions>,
}

impl Additions {
    /// The additions to modality `name`, or to the whole for `None`.
    pub fn target(&mut self, name: Option<&str>) -> &mut ElementAdditions {
        match name {
            None => &mut self.root,
            Some(name) => self.modalities.entry(name.to_owned()).or_default(),
        }
    }
}

impl AnnData {
    /// Puts additions into a container in memory; elements of the same key are replaced.
    ///
    /// What does not fit the axes is refused when the container is written.
    pub fn add(&mut self, additions: &ElementAdditions) {
        if let Some(x) = &additions.x {
            self.x = Some(x.clone());
        }
        extend(&mut self.layers, &additions.layers);
        extend(&mut self.obs.columns, &additions.obs);
        extend(&mut self.var.columns, &additions.var);
        extend(&mut self.obsm, &additions.obsm);
        extend(&mut self.varm, &additions.varm);
        extend(&mut self.obsp, &additions.obsp);
        extend(&mut self.varp, &additions.varp);
        extend(&mut self.uns, &additions.uns);
    }
}

impl MuData {
    /// Puts additions into a container in memory, as [`AnnData::add`].
    ///
    /// # Errors
    /// [`DataError::MissingKey`] for a modality it lacks, [`DataError::Kind`] for what only a modality holds (`X`,
    /// layers); it is as it was then.
    pub fn add(&mut self, additions: &Additions) -> Result<(), DataError> {
        for name in additions.modalities.keys() {
            self.modality(name)?;
        }
        additions.root.require_whole()?;
        let root = &additions.root;
        extend(&mut self.obs.columns, &root.obs);
        extend(&mut self.var.columns, &root.var);
        extend(&mut self.obsm, &root.obsm);
        extend(&mut self.varm, &root.varm);
        extend(&mut self.obsp, &root.obsp);
        extend(&mut self.varp, &root.varp);
        extend(&mut self.uns, &root.uns);
        for (name, elements) in &additions.modalities {
            if let Some(adata) = self.modalities.get_mut(name) {
                adata.add(elements);
            }
        }
        Ok(())
    }
}

fn extend<V: Clone>(into: &mut IndexMap<String, V>, from: &IndexMap<String, V>) {
    into.extend(from.iter().map(|(k, v)| (k.clone(), v.clone())));
}
