//! Clients that mean harm. Each test has a healthy client beside them, and looks at what they make the server hold.

use super::*;
