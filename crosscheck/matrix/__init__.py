"""From words to recorded observations: select, plan, schedule, record. Knows nothing of findings."""
