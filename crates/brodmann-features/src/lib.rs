//! Nothing of its own: its manifest asks for the features that the command and the Python package need together.
