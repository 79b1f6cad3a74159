"""What an evaluated run says, as a paper that writes itself: text, tables, figures, sounds, cards, references.

Nothing is measured here and no figure is typed: all numbers are those of metrics.json, read in one place
(`evidence`), all settings those of the run's recipe, and tables and figures are the report's own.
"""
