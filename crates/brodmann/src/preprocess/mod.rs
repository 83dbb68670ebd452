//! From raw counts to features worth comparing.
