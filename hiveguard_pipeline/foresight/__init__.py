"""What is to come: how long until labels are ready, and what another policy would have made.

What belongs here: the model of votes to come, the Monte Carlo over the rules, the rate of arrivals, and the
replay of votes under other settings. What does not: what a run makes of votes (`store.ledger`), and what the
votes say of solvers and labels (`quality`).
"""
