//! Promises of the trainer.
