//! What is told about a message: the log line, the transcript of a dialogue, the one line on stderr.
