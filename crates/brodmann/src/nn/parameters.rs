//! Named parameters with their gradients.

use ndarray::Array2;

use super::mat::Mat;
use super::scalar::Scalar;
use super::stop::StateError;

/// Position of a parameter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ParameterId(pub(crate) usize);

/// One weight matrix, or one bias as a single row.
#[derive(Clone, Debug)]
pub struct Parameter<T> {
    /// Name under which it is saved.
    pub name: String,
    /// Rows, columns.
    pub shape: (usize, usize),
    /// Row-major.
    pub value: Vec<T>,
    /// Row-major, of the last step.
    pub grad: Vec<T>,
}

/// All parameters of a network, in a fixed order.
#[derive(Clone, Debug, Default)]
pub struct Parameters<T> {
    list: Vec<Parameter<T>>,
}

impl<T: Scalar> Parameters<T> {
    /// None yet.
    pub fn new() -> Self {
        Self { list: Vec::new() }
    }

    /// Adds one.
    ///
    /// # Panics
    /// When `value` does not fill `shape`.
    pub fn add(&mut self, name: impl Into<String>, shape: (usize, usize), value: Vec<T>) -> ParameterId {
        assert_eq!(value.len(), shape.0 * shape.1, "a parameter fills its shape");
        let grad = vec![T::ZERO; value.len()];
        self.list.push(Parameter { name: name.into(), shape, value, grad });
        ParameterId(self.list.len() - 1)
    }

    /// In the order they were added.
    pub fn iter(&self) -> std::slice::Iter<'_, Parameter<T>> {
        self.list.iter()
    }

    /// In the order they were added.
    pub fn iter_mut(&mut self) -> std::slice::IterMut<'_, Parameter<T>> {
        self.list.iter_mut()
    }

    /// By position, in the order they were added.
    ///
    /// # Panics
    /// When there are not that many.
    pub fn get(&self, position: usize) -> &Parameter<T> {
        &self.list[position]
    }

    /// By name.
    pub fn find(&self, name: &str) -> Option<&Parameter<T>> {
        self.list.iter().find(|p| p.name == name)
    }

    /// By name.
    pub fn find_mut(&mut self, name: &str) -> Option<&mut Parameter<T>> {
        self.list.iter_mut().find(|p| p.name == name)
    }

    /// Number of parameters.
    pub fn len(&self) -> usize {
        self.list.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// Its value.
    pub fn value(&self, id: ParameterId) -> Mat<'_, T> {
        let p = &self.list[id.0];
        Mat::new(&p.value, p.shape.0, p.shape.1)
    }

    /// Sets every gradient to zero, those taken out included.
    pub fn zero_grads(&mut self) {
        for p in &mut self.list {
            p.grad.clear();
            p.grad.resize(p.value.len(), T::ZERO);
        }
    }

    /// Takes all gradients out, in the order of the parameters; they are empty until zeroed.
    pub fn take_grads(&mut self) -> Vec<Vec<T>> {
        self.list.iter_mut().map(|p| std::mem::take(&mut p.grad)).collect()
    }

    /// Numbers shaped like the parameters, one list per parameter, under their names.
    ///
    /// # Panics
    /// When a list does not fill the shape of its parameter.
    pub fn named<'a>(&self, values: impl Fn(usize) -> &'a [T]) -> Vec<(String, Array2<T>)>
    where
        T: 'a,
    {
        let copy = |(k, p): (usize, &Parameter<T>)| {
            (p.name.clone(), Mat::new(values(k), p.shape.0, p.shape.1).view().to_owned())
        };
        self.list.iter().enumerate().map(copy).collect()
    }

    /// Every value under its name.
    pub fn named_values(&self) -> Vec<(String, Array2<T>)> {
        self.named(|k| &self.list[k].value)
    }

    /// Puts named values, in any order, into the parameters: each exactly once, in its shape.
    ///
    /// # Errors
    /// [`StateError::Unknown`] and [`StateError::Shape`].
    pub fn load(&mut self, named: &[(String, Array2<T>)]) -> Result<(), StateError> {
        for (k, (name, _)) in named.iter().enumerate() {
            if self.find(name).is_none() || named[..k].iter().any(|(other, _)| other == name) {
                return Err(StateError::Unknown { name: name.clone() });
            }
        }
        for parameter in &mut self.list {
            let given = named.iter().find(|(name, _)| *name == parameter.name).map(|(_, array)| array);
            match given {
                Some(array) if array.dim() == parameter.shape => {
                    parameter.value.iter_mut().zip(array).for_each(|(v, &a)| *v = a);
                }
                _ => {
                    return Err(StateError::Shape {
                        name: parameter.name.clone(),
                        found: given.map_or((0, 0), Array2::dim),
                        expected: parameter.shape,
                    });
                }
            }
        }
        Ok(())
    }

    /// All values one after the other, in the order of the parameters.
    pub fn flat(&self) -> Vec<T> {
        self.list.iter().flat_map(|p| p.value.iter().copied()).collect()
    }

    /// Puts values in that order into the parameters.
    ///
    /// # Errors
    /// [`StateError::Shape`] when there are more or fewer.
    pub fn load_flat(&mut self, values: &[T]) -> Result<(), StateError> {
        self.check_flat("parameters", values.len())?;
        let mut rest = values;
        for parameter in &mut self.list {
            let (own, after) = rest.split_at(parameter.value.len());
            parameter.value.copy_from_slice(own);
            rest = after;
        }
        Ok(())
    }

    /// Whether so many numbers are one for each of all parameters.
    pub(crate) fn check_flat(&self, what: &str, found: usize) -> Result<(), StateError> {
        let expected = self.list.iter().map(|p| p.value.len()).sum();
        if found == expected {
            return Ok(());
        }
        Err(StateError::Shape { name: what.to_owned(), found: (1, found), expected: (1, expected) })
    }

    pub(crate) fn take_grad(&mut self, id: ParameterId) -> Vec<T> {
        std::mem::take(&mut self.list[id.0].grad)
    }

    pub(crate) fn put_grad(&mut self, id: ParameterId, grad: Vec<T>) {
        self.list[id.0].grad = grad;
    }
}

impl<'a, T: Scalar> IntoIterator for &'a Parameters<T> {
    type Item = &'a Parameter<T>;
    type IntoIter = std::slice::Iter<'a, Parameter<T>>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

impl<'a, T: Scalar> IntoIterator for &'a mut Parameters<T> {
    type Item = &'a mut Parameter<T>;
    type IntoIter = std::slice::IterMut<'a, Parameter<T>>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter_mut()
    }
}
