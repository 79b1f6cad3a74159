"""Loss terms, schedules and the objective that adds them up."""
