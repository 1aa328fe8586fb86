"""Selects, plans, schedules and records trials. Independent of findings."""
