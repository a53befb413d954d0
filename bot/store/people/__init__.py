"""What people said and decided: exceptions, proposals, judgements, answers."""
