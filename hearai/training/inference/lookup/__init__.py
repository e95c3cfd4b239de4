"""Look-up of a prediction: in a lexicon of notations, or among the clips of a dictionary."""
