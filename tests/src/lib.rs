//! Fixtures for black-box tests of the harbor binary.
