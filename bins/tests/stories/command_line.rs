//! Both programs as a user meets them: arguments, errors, signals, exit statuses.
