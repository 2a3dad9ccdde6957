"""Structured answers: boxes on images, spans of text, several classes; how near two are, and what many say.

An answer is a JSON text (`answer`), in one form so that equal answers are equal texts. `matching` says how
near two answers are, `consensus` what n answers say together, `judge` what the state machine asks of it.
Pure: texts and numbers in, texts and numbers out.
"""
