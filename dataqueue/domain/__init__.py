"""What a queue is, without storage or transport: pure values and rules, standard library only."""
