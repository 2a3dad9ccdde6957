"""What runs in a process of its own: each module prints its figures as one line of JSON."""
