"""The dashboard: pages made on the server, which work without scripts, and a fast way through the reviews.

What belongs here: routes, templates, the one stylesheet and script, and what a page shows. What does not: how
figures are counted and what a decision does (the capabilities).
"""
