"""How a study searches: samplers, storage, the queue of trials, workers, evaluation."""
