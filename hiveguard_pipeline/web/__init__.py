"""The web application on the store: the API for machines, the dashboard for people.

What belongs here: requests, sign-in, pages. What does not: what is done with votes, labels and reviews (the
capabilities), which is called from here and knows nothing of it.
"""
