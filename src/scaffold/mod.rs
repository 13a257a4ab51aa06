//! What a service is made of, the plan of file changes, and their writing.
